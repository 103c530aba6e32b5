#!/usr/bin/env perl
# SPDX-License-Identifier: BSD-3-Clause
# Reducer and combiner in Perl: of lines key<TAB>number, sorted, the sum of each key.
use strict;
use warnings;

my ($key, $sum);
while (my $line = <STDIN>) {
    chomp $line;
    my ($next, $number) = split /\t/, $line, 2;
    if (defined $key && $next ne $key) {
        print "$key\t$sum\n";
        $sum = 0;
    }
    $key = $next;
    $sum += $number;
}
print "$key\t$sum\n" if defined $key;
