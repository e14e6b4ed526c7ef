# perl foreign-mount.pl FILE COMMAND...: runs a command while a file system of another user (FUSE) is mounted over the file,
# as fusermount lets that user do. To everybody else the kernel answers EACCES, to lstat as well. Linux on x86-64.
use strict;
use Fcntl;

my $file = shift @ARGV;
sysopen(my $fuse, '/dev/fuse', O_RDWR) or die "open: $!";
my ($source, $type) = ('foreign', 'fuse');
my $options = 'fd=' . fileno($fuse) . ',rootmode=100644,user_id=65533,group_id=65533';
syscall(165, $source, $file, $type, 6, $options) == 0 or die "mount: $!";
exit(system(@ARGV) >> 8);
