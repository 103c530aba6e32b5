#!/usr/bin/env perl
# SPDX-License-Identifier: BSD-3-Clause
# Mapper in Perl: word<TAB>1 for each word. quern stream --map words.pl --combine sum.pl --reduce sum.pl -o DIR PATH...
use strict;
use warnings;

while (my $line = <STDIN>) {
    print "$_\t1\n" for split ' ', $line;
}
