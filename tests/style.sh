#!/bin/sh
# style.sh: no source file of more than 1500 lines, no tabs or blanks at the ends of lines, a head comment in each; the
# longest functions are listed for information.
bad=0
files=$(find runtime ir script lower codegen tracer tests bench examples include . -maxdepth 2 \( -name '*.c' -o -name '*.h' \) \
    -not -path '*/build/*' -not -path './*/*' 2>/dev/null; find runtime ir script lower codegen tracer include/jitc tests bench examples \
    \( -name '*.c' -o -name '*.h' \) 2>/dev/null)
files=$(echo "$files" | sed 's,^\./,,' | sort -u)
for f in $files; do
    n=$(wc -l <"$f")
    if [ "$n" -gt 1500 ]; then
        echo "$f has $n lines; 1500 is the most"
        bad=1
    fi
    case $(head -c 2 "$f") in
    '/*' | '//') ;;
    *)
        echo "$f does not begin with a comment that says what it is for"
        bad=1
        ;;
    esac
done
tab=$(printf '\t')
if grep -nE "$tab|[ ]+\$" $files; then
    echo "tabs, or blanks at the end of a line"
    bad=1
fi
echo "functions of more than 60 lines:"
for f in $files; do
    awk -v f="$f" '/^[a-z].*\) \{$/ { name = $0; start = NR } /^\}/ && start { if (NR - start > 60) print "  " NR - start, f ":" start; start = 0 }' "$f"
done | sort -rn | head -20
exit $bad
