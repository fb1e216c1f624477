#!/bin/sh
# docs.sh OUTPUT - the reference of installed headers and the porting guide: OUTPUT/html, OUTPUT/man. A
# warning is an error; so is a public function that no comment describes.
#
# In the environment: VERSION, PUBLIC_HEADERS.
set -eu

output=$1
mkdir -p "$output"

for header in $PUBLIC_HEADERS; do
    awk -v check=1 -f tests/tools/docs_filter.awk "$header"
done >"$output/undescribed"
if [ -s "$output/undescribed" ]; then
    sed 's/^/docs: nothing is said of /' "$output/undescribed" >&2
    exit 1
fi

{
    cat tests/tools/Doxyfile
    echo "INPUT = tests/embed/PORTING.md" $PUBLIC_HEADERS
    echo "OUTPUT_DIRECTORY = $output"
    echo "PROJECT_NUMBER = $VERSION"
} | doxygen - >"$output/log" 2>&1 || {
    cat "$output/log" >&2
    exit 1
}
echo "docs: $output/html/index.html, $(find "$output/man" -type f | wc -l) man pages"
