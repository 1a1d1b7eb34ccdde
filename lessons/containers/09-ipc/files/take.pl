#!/usr/bin/perl
# Tells the word that lies in the message queue with the key 0x4c, and puts it back.
my $queue = msgget(0x4c, 0) // die "No queue with the key 0x4c here: $!\n";
msgrcv($queue, my $message, 1000, 0, 04000) // die "The queue is empty: $!\n";  # 04000 is IPC_NOWAIT.
msgsnd($queue, $message, 0);
my (undef, $word) = unpack("l! a*", $message);
print "$word\n";
