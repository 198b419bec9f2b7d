# shellcheck shell=bash
# Finding a Python and filling a virtual environment from a hash-locked list; sourced by setup-venv.sh and install.sh.

# A name on the PATH proves nothing: a version manager's shim may be there and fail. So each one is run.
runs() { "$1" -I -c "import sys; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; }
makes_venvs() { "$1" -I -c 'import ensurepip, venv' >/dev/null 2>&1; }
venv_package() { "$1" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'; }

# Prints the newest Python on the PATH that can make an environment; else the newest at all, and fails with 1; with none, 2.
newest_python() {
    local candidate usable=
    for candidate in python3.13 python3.12 python3.11 python3; do
        runs "$candidate" || continue
        if makes_venvs "$candidate" || command -v uv >/dev/null; then
            printf '%s' "$candidate"
            return 0
        fi
        usable=${usable:-$candidate}
    done
    printf '%s' "$usable"
    [[ -n $usable ]] && return 1
    return 2
}

# What a runner's user, or an earlier step of the job, may have set and what would change where packages go or which they are. The
# registry, its certificates and proxies stay. PYTHONPATH may name the workspace, where a sitecustomize.py lies in wait.
calm_installers() {
    local name
    for name in $(compgen -e); do
        case $name in
            PYTHON* | UV_PYTHON | UV_SYSTEM_PYTHON | UV_TARGET | UV_PREFIX | UV_NO_BINARY* | UV_CONSTRAINT | UV_OVERRIDE | \
                UV_COMPILE_BYTECODE | UV_PROJECT* | UV_WORKING_DIRECTORY | PIP_TARGET | PIP_PREFIX | PIP_ROOT | PIP_REQUIREMENT | \
                PIP_CONSTRAINT | PIP_EDITABLE | PIP_NO_BINARY | PIP_ONLY_BINARY | PIP_PLATFORM | PIP_PYTHON* | PIP_IMPLEMENTATION | \
                PIP_ABI | PIP_DRY_RUN | PIP_REPORT | PIP_REQUIRE_VIRTUALENV) unset "$name" ;;
        esac
    done
    # Set and not unset: pip's own file of settings may hold the same.
    export PIP_USER=0
}

# Both are started in the workspace of a pull request. Nothing of it may count: no module that is called like one of Python's
# own (-I), and no settings of uv (--project: they are looked for from there; what the runner's user has set still counts).
# Neither compiles: uv would do so by an interpreter that is not isolated, pip on one core and with everybody's tests.
# Usage of both: PYTHON VENV LIST
install_with_uv() {
    command -v uv >/dev/null || return 1
    uv venv --quiet --clear --project / --python "$1" "$2" &&
        uv pip install --quiet --project / --python "$2/bin/python" --require-hashes --only-binary :all: -r "$3"
}

install_with_pip() {
    if [[ ! -x $2/bin/python ]] || ! "$2/bin/python" -I -c 'import pip' 2>/dev/null; then
        rm -rf "$2"
        "$1" -I -m venv "$2"
    fi
    "$2/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
        --require-hashes --only-binary :all: -r "$3"
}

# uv reads other settings than pip, so where it finds no registry pip may.
install_locked() { { install_with_uv "$@" || install_with_pip "$@"; } && compile_packages "$2"; }

# On all cores, and without the tests that packages bring along: half of their code, which nobody here imports. A file that cannot
# be compiled is one that its package does not import, either.
compile_packages() { "$1/bin/python" -I -m compileall -q -j 0 -x 'site-packages/.*/tests?/' "$(packages_of "$1")" >/dev/null || true; }

# Where VENV keeps packages. Usage: VENV
packages_of() { "$1/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
