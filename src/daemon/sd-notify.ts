import { execFile } from 'node:child_process'

/**
 * Reports the status of the service to systemd (sd_notify(3)). Node has no datagram sockets of the Unix domain, so the
 * message is sent by systemd-notify(1), else by perl, which Debian always has; the unit needs NotifyAccess=all for
 * that. Outside systemd (no NOTIFY_SOCKET) nothing happens; a failed report does not stop the service.
 */

const NOTIFY_TIMEOUT_MS = 5_000

const PERL_SEND =
  'use IO::Socket::UNIX; my $p = $ENV{NOTIFY_SOCKET}; $p =~ s/^@/\\0/; ' +
  'my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $p) or exit 1; $s->send(join("\\n", @ARGV)) or exit 1'

export async function notifySystemd(states: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  if ((env['NOTIFY_SOCKET'] ?? '') === '') return
  if (await run('systemd-notify', [`--pid=${process.pid}`, ...states], env)) return
  await run('perl', ['-MSocket', '-e', PERL_SEND, `MAINPID=${process.pid}`, ...states], env)
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  execFile(command, args, { env, timeout: NOTIFY_TIMEOUT_MS }, (error) => resolve(error === null))
  return promise
}
