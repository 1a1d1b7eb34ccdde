#!/usr/bin/perl
# leave.pl WORD: makes a System V message queue with the key 0x4c, and leaves WORD in it.
my $queue = msgget(0x4c, 0600 | 01000) // die "msgget: $!\n";  # 01000 is IPC_CREAT.
msgsnd($queue, pack("l! a*", 1, $ARGV[0]), 0) or die "msgsnd: $!\n";
