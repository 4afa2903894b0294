#!/bin/sh
# Installs k8sdoctor from a release, after its checksum was compared.
#   K8SDOCTOR_URL  where the release's files are (required): https://.../releases/download/v0.1.0
#   K8SDOCTOR_DIR  where to put the program; /usr/local/bin when not given
#   K8SDOCTOR_SHA256  the archive's checksum, when it is known from elsewhere than the release itself
set -eu

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

[ -n "${K8SDOCTOR_URL:-}" ] || fail "set K8SDOCTOR_URL to where the release's files are"
directory=${K8SDOCTOR_DIR:-/usr/local/bin}

[ "$(uname -s)" = Linux ] || fail "there are programs for Linux only, not for $(uname -s)"
case $(uname -m) in
  x86_64 | amd64) machine=x86_64 ;;
  aarch64 | arm64) machine=aarch64 ;;
  *) fail "there is no program for $(uname -m)" ;;
esac
archive=k8sdoctor-linux-$machine.tar.gz

if command -v curl >/dev/null 2>&1; then
  get() { curl -fsSL --retry 3 -o "$2" "$1"; }
elif command -v wget >/dev/null 2>&1; then
  get() { wget -q -O "$2" "$1"; }
else
  fail "needs curl or wget"
fi
command -v sha256sum >/dev/null 2>&1 || fail "needs sha256sum to compare the checksum"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
get "$K8SDOCTOR_URL/$archive" "$folder/$archive" || fail "$K8SDOCTOR_URL/$archive cannot be had"
if [ -n "${K8SDOCTOR_SHA256:-}" ]; then
  expected=$K8SDOCTOR_SHA256
else
  get "$K8SDOCTOR_URL/SHA256SUMS" "$folder/SHA256SUMS" || fail "$K8SDOCTOR_URL/SHA256SUMS cannot be had"
  expected=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1 }' "$folder/SHA256SUMS")
fi
found=$(sha256sum "$folder/$archive" | cut -d ' ' -f 1)
[ -n "$expected" ] || fail "SHA256SUMS says nothing of $archive"
[ "$found" = "$expected" ] || fail "$archive has the checksum $found, not $expected: it was not installed"

tar -xzf "$folder/$archive" -C "$folder" k8sdoctor
mkdir -p "$directory"
# Beside it first, so that a program that runs is not written into.
install -m 755 "$folder/k8sdoctor" "$directory/.k8sdoctor.new"
mv -f "$directory/.k8sdoctor.new" "$directory/k8sdoctor"
"$directory/k8sdoctor" --version
