import { runTool } from '../test/servers/run-tool.ts'

/**
 * Spreads the folders that are made in `dir` from now on over the block groups of an ext4 file system, by a hash of
 * their names (`chattr +T`); does nothing elsewhere.
 *
 * Without a journal (as in some virtual machines) ext4 does not use an inode again for minutes after its file was
 * deleted, and every new file walks past all of those in its block group. A temporary folder in which much was deleted
 * then takes a millisecond for a file that takes 20 microseconds elsewhere, and a benchmark measures its neighbours.
 */
export async function spreadFolders(dir: string): Promise<void> {
  await runTool('chattr', ['+T', dir]).catch(() => null)
}
