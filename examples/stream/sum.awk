# SPDX-License-Identifier: BSD-3-Clause
# Reducer and combiner in awk: of lines key<TAB>number, sorted, the sum of each key.
BEGIN { FS = OFS = "\t" }
NR > 1 && $1 "" != key { print key, sum; sum = 0 }
{ key = $1 ""; sum += $2 }
END { if (NR > 0) print key, sum }
