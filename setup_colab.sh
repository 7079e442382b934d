#!/usr/bin/env bash
# Sets up everything that urlseq needs; --help says more.
#
# It keeps no record of earlier runs: each looks at what is really installed. So one that was
# interrupted is taken up where it stopped, and one with nothing to do takes about a second.
set -euo pipefail

usage() {
    cat <<'END'
Usage: bash setup_colab.sh [--dev] [--spark] [--export] [--serve]

Installs what urlseq needs and prints the versions. Safe to run again: what is there
already, in a version that fits, stays as it is.

In Colab it installs into the running Python. Elsewhere it makes a virtual environment,
.venv, beside this script, with Python 3.11, 3.12 or 3.13. The Spark parts, and only they,
need Java 17 or newer: where there is none, a headless one is installed if that is allowed
(apt-get, as root or by a sudo that asks for no password).

  --spark  also fetch what Spark lacks to read S3: 13 MB of jars, in about a minute
  --export also install TensorFlow.js' converter and, where there is npm, what the page in web/
           is built with (tried with Python 3.11)
  --serve  also install TensorFlow Serving's protocol for Python, and the search index and the
           TF-IDF of notebook 6
  --dev    also install what the tests need (requirements-dev.txt), with --spark, --export,
           --serve, a browser (Debian's chromium) and, where there is Go, an S3 server to test
           against (built in about four minutes, once)
  --help   show this text
END
}

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
fail() { warn "setup_colab.sh: $*"; exit 1; }

requirement_files=(requirements.txt)
dev=no
spark=no
export=no
serve=no
for option in "$@"; do
    case "$option" in
        --dev) dev=yes spark=yes export=yes serve=yes requirement_files=(requirements.txt requirements-dev.txt) ;;
        --spark) spark=yes ;;
        --export) export=yes ;;
        --serve) serve=yes ;;
        --help | -h) usage; exit 0 ;;
        *) warn "setup_colab.sh: unknown option '$option', see --help"; exit 2 ;;
    esac
done
cd "$(dirname "${BASH_SOURCE[0]}")"

# Installs the first of the given packages that this release of Debian or Ubuntu has.
# Fails where there is no apt-get, or where this user may not use it.
apt_install() {
    local root=()
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -ne 0 ]; then
        root=(sudo -n)
        sudo -n true 2>/dev/null || return 1
    fi
    # ${root[@]+...}: an empty array counts as unset in the bash that macOS ships.
    ${root[@]+"${root[@]}"} apt-get update -qq >/dev/null 2>&1 || true # an older list may do
    local package
    for package in "$@"; do
        ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 </dev/null && return
    done
    return 1
}

# --- Python -----------------------------------------------------------------------------------

# has PYTHON PACKAGE
has() { "$1" -c 'import sys; from importlib.metadata import version; version(sys.argv[1])' "$2" 2>/dev/null; }

in_colab() { [ -n "${COLAB_RELEASE_TAG:-}" ] || { [ -d /content ] && has python google-colab; }; }

# Newer Pythons are left out because TensorFlow has no packages for them yet.
fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

make_environment() {
    local base=""
    for base in python3 python3.13 python3.12 python3.11 ""; do
        [ -n "$base" ] && fits "$base" && break
    done
    [ -n "$base" ] || fail "found no Python 3.11, 3.12 or 3.13 (python3 is: $(python3 --version 2>/dev/null || echo missing)). Install one and run this again."

    # Debian and Ubuntu leave these two modules out of their Python.
    if ! "$base" -c 'import venv, ensurepip' 2>/dev/null; then
        local package
        package=$("$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        say "Installing $package, which $base lacks"
        apt_install "$package" || fail "$base cannot make virtual environments. On Debian or Ubuntu: apt-get install $package (or python3-venv), then run this again."
    fi
    say "Making .venv with $("$base" --version)"
    # --clear, because a .venv without a working Python is of no use to anyone.
    "$base" -m venv --clear .venv || fail "could not make .venv, see above. Put that right and run this again."
}

if in_colab; then
    python=python
else
    python=.venv/bin/python
    "$python" -c "" 2>/dev/null || make_environment
    fits "$python" || fail ".venv has $("$python" --version), not 3.11, 3.12 or 3.13. Remove .venv and run this again."
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null ||
        fail ".venv has no pip. Remove .venv and run this again."

    # INSTALLER is among the last files that pip writes. Where a run was killed before that, pip would
    # take the package for complete, so forget it: pip then installs it over what is there.
    for package in .venv/lib/python3*/site-packages/*.dist-info; do
        [ -e "$package/INSTALLER" ] || rm -rf "$package"
    done
fi

# --- Packages ---------------------------------------------------------------------------------

# Prints those lines of the requirement files that nothing installed meets. It reads what pip left
# on the disk and imports no package: TensorFlow alone would take seconds.
unmet() {
    "$python" -c '
import fileinput
from importlib.metadata import version
from pip._vendor.packaging.requirements import Requirement  # pip has its own copy, so it is always there

for line in fileinput.input(encoding="utf-8"):
    if line := line.partition("#")[0].strip():
        requirement = Requirement(line)
        try:
            fits = requirement.specifier.contains(version(requirement.name), prereleases=True)
        except Exception:  # not there, or half of it
            fits = False
        if not fits:
            print(line)
' "$@"
}
pip_install() { "$python" -m pip install --disable-pip-version-check --no-input "$@"; }

# Colab's TPU image comes without TensorFlow (but with the library that drives a TPU).
tpu_image=no
if in_colab && { has "$python" libtpu || ! has "$python" tensorflow; }; then tpu_image=yes; fi

missing=$(unmet "${requirement_files[@]}")
if [ -n "$missing" ]; then
    say "Installing ${missing//$'\n'/ }"
    # pip gets the whole files, so that nothing is moved out of its range. It leaves alone what fits,
    # Colab's own versions above all, as long as nobody says --upgrade.
    pip_install "${requirement_files[@]/#/--requirement=}" ||
        fail "pip did not install everything, see above. Check the network and the free disk space (4 GB), then run this again."
fi

# 38,000 real URLs, to show and to measure on. Only its data files are read, it is never imported:
# hence --no-deps.
if ! has "$python" bioregistry; then
    pip_install --quiet --retries 1 --no-deps bioregistry ||
        warn "Could not install bioregistry. It is optional: without it there are fewer real URLs to show."
fi

# --- Serving and search -------------------------------------------------------------------------

# None of this stops the script: without it there are no warm-up requests, and some tests are skipped.
if [ "$serve" = yes ]; then
    # --no-deps, because it asks for a TensorFlow as new as itself, while its messages are the same ones for years.
    stubs=$("$python" -c 'from importlib.metadata import version; print("tensorflow-serving-api==" + ".".join(version("tensorflow").split(".")[:2]) + ".*")')
    if ! has "$python" tensorflow-serving-api; then
        say "Installing TensorFlow Serving's protocol"
        pip_install --quiet --no-deps "$stubs" || warn "Could not install $stubs, see above: copies can't be served."
    fi
    if ! has "$python" usearch || ! has "$python" scikit-learn; then
        say "Installing what notebook 6 searches with"
        pip_install --quiet 'usearch>=2.17' 'scikit-learn>=1.4' || warn "pip failed, see above: no search index."
    fi
fi

# --- The page -----------------------------------------------------------------------------------

# None of this stops the script: without it copies can't be exported, and some tests are skipped.
if [ "$export" = yes ]; then
    # --no-deps, because the converter asks for packages that hold TensorFlow back, and uses none of them here.
    keras_for_it=$("$python" -c 'from importlib.metadata import version; print("tf-keras==" + ".".join(version("tensorflow").split(".")[:2]) + ".*")')
    if ! has "$python" tensorflowjs || ! has "$python" tf-keras; then
        say "Installing TensorFlow.js' converter"
        pip_install --quiet --no-deps tensorflowjs==4.22.0 "$keras_for_it" six packaging ||
            warn "Could not install tensorflowjs, see above: copies can't be exported."
    fi
    if ! command -v npm >/dev/null; then
        warn "Found no npm: the page can't be built. Node 20 or newer brings it."
    elif [ ! -e web/node_modules/.package-lock.json ] || [ web/package-lock.json -nt web/node_modules/.package-lock.json ]; then
        say "Installing what the page is built with"
        (cd web && npm ci --no-audit --no-fund --loglevel=error) || warn "npm failed, see above: the page can't be built."
    fi
fi
if [ "$dev" = yes ] && ! command -v chromium >/dev/null; then
    say "Installing Chromium, for the page's tests"
    apt_install chromium || warn "Could not install Chromium: the page's tests will be skipped."
fi

# --- Java -------------------------------------------------------------------------------------

# Prints the number in: version "17.0.15", or the 8 in: version "1.8.0_392".
java_version() { "$1" -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9][0-9]*\).*/\2/p'; }

find_java() {
    local program number
    for program in "$spark_java" "$(command -v java)" \
        /usr/lib/jvm/*/bin/java /Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java; do
        [ -x "$program" ] || continue
        number=$(java_version "$program") || continue
        [ "${number:-0}" -ge 17 ] && java=$program && return
    done
    return 1
}

# Nothing about Java stops the script: only the Spark parts need it.
java=""
# Spark itself takes JAVA_HOME where it is set, else the one on PATH.
spark_java=${JAVA_HOME:+$JAVA_HOME/bin/java}
spark_java=${spark_java:-$(command -v java || true)}
if ! find_java; then
    say "Found no Java 17 or newer, looking for one to install"
    if apt_install openjdk-21-jre-headless openjdk-17-jre-headless; then find_java || true; fi
fi

# --- Spark's S3 support, and a server to test it --------------------------------------------------

# Neither stops the script: without them the Spark parts read the disk alone, and some tests are skipped.
if [ "$spark" = yes ] && [ -n "$java" ]; then
    home=$(readlink -f "$java")
    JAVA_HOME=${home%/bin/java} "$python" -W ignore -m urlseq.spark || true
fi
if [ "$dev" = yes ] && [ ! -x .cache/bin/versitygw ] && command -v go >/dev/null; then
    say "Building the S3 server of the tests (about four minutes)"
    GOBIN="$PWD/.cache/bin" go install -ldflags="-s -w" github.com/versity/versitygw/cmd/versitygw@v1.8.0 ||
        warn "Could not build versitygw, see above: the tests against S3 will be skipped."
fi

# --- What there is now ------------------------------------------------------------------------

say
"$python" - <<'END'
import platform
from importlib.metadata import version

print(f"{'Python':<12}{platform.python_version()}")
for name in "TensorFlow", "Keras", "numpy", "pandas", "pyarrow", "pyspark":
    print(f"{name:<12}{version(name)}")
END
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null) || gpu=none
printf '%-12s%s\n' GPU "${gpu//$'\n'/, }"
if [ -n "$java" ]; then
    printf '%-12s%s (%s)\n' Java "$(java_version "$java")" "$java"
else
    printf '%-12snone\n' Java
fi

say
if [ "$tpu_image" = yes ]; then
    say "This is Colab's TPU image, which comes without TensorFlow. What was installed instead does"
    say "not use the TPU: choose a CPU or a GPU under Runtime > Change runtime type."
fi
if [ "$gpu" != none ] && ! in_colab && ! has "$python" nvidia-cudnn-cu12; then
    say "For TensorFlow to use the GPU (4 GB more): $python -m pip install 'tensorflow[and-cuda]<2.22'"
fi
if [ -z "$java" ]; then
    say "The Spark parts, and only they, need Java 17 or newer. On Debian or Ubuntu, as root:"
    say "apt-get install openjdk-17-jre-headless; elsewhere see https://adoptium.net. Then run this again."
elif [ "$java" != "${spark_java:-$(command -v java)}" ]; then
    home=$(readlink -f "$java")
    say "For the Spark parts, set JAVA_HOME to ${home%/bin/java}"
fi
if in_colab && [ -n "$missing" ]; then
    say "Packages were installed: in a notebook that runs already, choose Runtime > Restart session."
fi
say "Ready: $python -m urlseq"
