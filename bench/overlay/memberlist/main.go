// One memberlist member as a process of its own, with LAN settings, for the benchmark beside it.
//
//	main NAME SEED MEMBERS
//
// SEED is host:port of a member to join, or "-". It prints a line for each thing it sees, with the machine's monotonic clock in
// milliseconds, so that the lines of different processes can be compared:
//
//	listening HOST:PORT
//	complete MS       from now on it holds all MEMBERS for alive
//	failed NAME MS    it declared this member dead
//
// It ends with its standard input.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"github.com/hashicorp/memberlist"
)

const clockMonotonic = 1

func monotonicMs() float64 {
	var at syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&at)), 0)
	return float64(at.Sec)*1e3 + float64(at.Nsec)/1e6
}

type watcher struct {
	sync.Mutex
	alive map[string]bool
	all   int
}

func (w *watcher) NotifyJoin(node *memberlist.Node) {
	w.Lock()
	defer w.Unlock()
	w.alive[node.Name] = true
	if len(w.alive) == w.all {
		fmt.Printf("complete %.3f\n", monotonicMs())
	}
}

func (w *watcher) NotifyLeave(node *memberlist.Node) {
	w.Lock()
	defer w.Unlock()
	delete(w.alive, node.Name)
	fmt.Printf("failed %s %.3f\n", node.Name, monotonicMs())
}

func (w *watcher) NotifyUpdate(*memberlist.Node) {}

func main() {
	all, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	config := memberlist.DefaultLANConfig()
	config.Name = os.Args[1]
	config.BindAddr = "127.0.0.1"
	config.AdvertiseAddr = "127.0.0.1"
	config.BindPort = 0
	config.LogOutput = io.Discard
	config.Events = &watcher{alive: map[string]bool{}, all: all}
	list, err := memberlist.Create(config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", list.LocalNode().Address())
	if seed := os.Args[2]; seed != "-" {
		if _, err := list.Join([]string{seed}); err != nil {
			log.Fatal(err)
		}
	}
	io.Copy(io.Discard, os.Stdin)
}
