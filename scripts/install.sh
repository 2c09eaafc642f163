# Sourced by the other scripts: makes .venv and installs a lock file into it, once.
# shellcheck shell=bash

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            if ! "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
                echo "$candidate lacks its venv module: install it (Debian, Ubuntu:" \
                    "apt install python3-venv)" >&2
                return 1
            fi
            echo "$candidate"
            return
        fi
    done
    echo "no Python 3.11 or later found: install one, or name it: PYTHON=/path/to/python3 $0" >&2
    return 1
}

# What must be the same for an earlier installation to be good: this folder and these files.
describe_install() {
    echo "$root"
    cat "$root/pyproject.toml" "$1"
}

# usage: install_locked LOCK_FILE_NAME   (needs $root)
install_locked() {
    local lock="$root/scripts/$1" venv="$root/.venv" stamp="$root/.venv/installed-$1" python
    if [ -x "$venv/bin/sgoped" ] && "$venv/bin/python" -c '' 2>/dev/null &&
        describe_install "$lock" | cmp -s - "$stamp"; then
        return
    fi
    echo "Installing into $venv; this happens once." >&2
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        "$python" -m venv --clear "$venv"
    fi
    rm -f "$stamp"
    pip_install() {
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
    }
    pip_install --require-hashes -r "$lock"
    pip_install --no-deps --no-build-isolation --editable "$root"
    describe_install "$lock" >"$stamp"
}
