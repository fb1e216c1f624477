#!/bin/sh
# check_porting.sh GUIDE - whether the guide has ten steps, in order, and the code of each stands in the
# file that it names, line by line.
set -eu

guide=$1
steps=$(sed -n 's/^## Step \([0-9]*\): .*/\1/p' "$guide" | tr '\n' ' ')
[ "$steps" = '1 2 3 4 5 6 7 8 9 10 ' ] || {
    echo "porting: the steps are $steps" >&2
    exit 1
}

awk '
    function whole(file,    text, line) {
        while ((getline line <file) > 0) text = text line "\n"
        close(file)
        return text
    }
    /^<!-- from: / { file = $3; next }
    /^```c$/ && file != "" { inside = 1; code = ""; next }
    /^```$/ && inside {
        count++
        if (index(whole(file), code) == 0) {
            printf "porting: %s has not what stands before line %d\n", file, NR
            failed = 1
        }
        inside = 0; file = ""
        next
    }
    /^```c$/ { print "porting: line " NR ": code from nowhere"; failed = 1 }
    inside { code = code $0 "\n" }
    END {
        if (count < 8) { print "porting: too little code"; failed = 1 }
        exit failed
    }' "$guide" >&2
echo "porting: ten steps, and their code is what runs"
