# Another Debian in a folder, and commands in it. Source it behind common.sh, don't run it.
# shellcheck shell=bash

# bootstrap_debian SUITE FOLDER PACKAGES LOG: PACKAGES separated by commas.
bootstrap_debian() {
  local suite=$1 folder=$2 packages=$3 log=$4
  command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt install mmdebstrap" "$EXIT_NO_FEATURE"
  bounded 900 mmdebstrap --quiet --variant=apt --include="$packages" "$suite" "$folder" >"$log" 2>&1 ||
    { show_tail "$log" 20; die "$suite can't be bootstrapped"; }
}

# copy_sources FOLDER: what git knows of this checkout, or would, and no more but build trees; a repository again, as
# checks ask git for the files.
copy_sources() {
  mkdir -p "$1"
  find "$1" -mindepth 1 -maxdepth 1 ! -name 'build*' -exec rm -rf {} +
  git -C "$ROOT" ls-files -z --cached --others --exclude-standard |
    (cd "$ROOT" && tar --create --ignore-failed-read --null --files-from=-) | tar --extract --directory="$1"
  git -C "$1" init --quiet
  git -C "$1" add --all
}

# in_debian SECONDS FOLDER COMMAND…: with this machine's devices and kernel, and of this shell's environment only what
# terminal and proxy are. Mounts end with the command. Meanwhile no lab runs here: hugepages and namespaces are the machine's, and
# jvpn_lab/topology.py knows that others use them by a lock on /run, of which this Debian has one of its own.
# What the command prints goes through; its exit code comes back.
in_debian() {
  local seconds=$1 folder=$2
  shift 2
  # shellcheck disable=SC2016
  bounded "$seconds" flock --timeout 600 --close /run unshare --mount bash -euc 'root=$1
    mount --bind "$root" "$root"
    for each in proc sys dev; do mount --rbind "/$each" "$root/$each"; done
    mount -t tmpfs -o mode=755 run "$root/run"
    kept=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
    for each in TERM NO_COLOR http_proxy https_proxy no_proxy; do [[ ! -v $each ]] || kept+=("$each=${!each}"); done
    exec chroot "$root" env -i "${kept[@]}" "${@:2}"' \
    - "$folder" "$@"
}
