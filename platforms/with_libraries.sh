# For scripts that make images out of the programs of this machine.

# with_libraries ROOT PROGRAM…: copies each to its own place below ROOT, with the shared libraries
# that it needs.
with_libraries() {
  local root=$1 program
  shift
  for program in "$@"; do
    cp -L --parents "$program" "$root"
    libraries_of "$root" "$program"
  done
}

# libraries_of ROOT PROGRAM: the shared libraries alone.
libraries_of() {
  local root=$1 library
  { ldd "$2" 2>/dev/null | grep -o '/[^ )]*' || true; } | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L -n "$library" "$root$library" 2>/dev/null || true
  done
}
