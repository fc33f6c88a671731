# Sourced by tools/demo and tools/test: `setup EXTRA` makes .venv with vitalwire[EXTRA], once per change of pyproject.toml.
# Needs Python 3.11 or newer with venv; adds Debian's python3-venv itself where it may.

setup() {
    python=${PYTHON:-python3}
    if ! [ -x .venv/bin/pip ]; then
        rm -rf .venv
        if ! "$python" -m venv .venv >/dev/null 2>&1; then
            rm -rf .venv
            if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
                apt-get update -qq >/dev/null && apt-get install -y -qq python3-venv >/dev/null
                "$python" -m venv .venv
            else
                echo "Python's venv module is missing: install the Debian package python3-venv, then run this again." >&2
                exit 1
            fi
        fi
    fi
    stamp=".venv/.vitalwire-$1-$(cksum <pyproject.toml | tr -d ' ')"
    if ! [ -e "$stamp" ]; then
        echo "Installing vitalwire[$1] into .venv (once) ..."
        .venv/bin/pip install --quiet --disable-pip-version-check --editable ".[$1]"
        touch "$stamp"
    fi
    PATH="$PWD/.venv/bin:$PATH"
    export PATH
}
