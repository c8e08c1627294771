/**
 * The keys the Compose specification knows and this version does not carry out, each with what to do instead where there is something.
 * A key in neither these lists nor the honoured ones is a mistake and refuses the file.
 */
export type KnownKeys = Readonly<Record<string, string>>

const later = 'not honoured by this version'

function known(names: string, remedies: KnownKeys = {}): KnownKeys {
  const keys: Record<string, string> = {}
  for (const name of names.split(' ')) keys[name] = later
  for (const [name, remedy] of Object.entries(remedies)) keys[name] = `${later}: ${remedy}`
  return keys
}

export const knownTopLevelKeys = known('include models volumes')

export const knownServiceKeys = known(
  'annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent cgroupns_mode container_name cpu_count cpu_percent ' +
    'cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpuset credential_spec depends_on develop device_cgroup_rules ' +
    'devices dns dns_opt dns_search domainname expose external_links extra_hosts gpus group_add healthcheck hostname init ipc ' +
    'isolation links logging mac_address mem_swappiness memswap_limit models network_mode oom_kill_disable oom_score_adj ' +
    'pid pids_limit platform ports post_start pre_stop privileged profiles provider pull_policy pull_refresh_after read_only runtime ' +
    'security_opt shm_size stdin_open storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volumes volumes_from',
  {
    cpus: 'use `deploy.resources.limits.cpus`',
    entrypoint: 'put the whole command line into `command`',
    env_file: 'use `environment`, or the `.env` beside the file',
    extends: 'use a YAML anchor and `<<`',
    image: 'the process driver runs `command` on the node itself',
    label_file: 'use `deploy.labels`',
    labels: 'labels of containers; for labels of the service use `deploy.labels`',
    mem_limit: 'use `deploy.resources.limits.memory`',
    mem_reservation: 'use `deploy.resources.reservations.memory`',
    restart: 'use `deploy.restart_policy`',
    scale: 'use `deploy.replicas`',
  },
)

export const knownDeployKeys = known('endpoint_mode rollback_config update_config')
export const knownLimitKeys = known('pids')
export const knownReservationKeys = known('devices generic_resources')
export const knownNetworkKeys = known('attachable driver driver_opts enable_ipv4 enable_ipv6 internal ipam')
export const knownNetworkUseKeys = known(
  'aliases driver_opts gw_priority interface_name ipv4_address ipv6_address link_local_ips mac_address priority',
)
export const knownPayloadUseKeys = known('uid gid mode')
export const knownNowhere: KnownKeys = {}
