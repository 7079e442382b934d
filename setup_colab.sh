#!/usr/bin/env bash
# Sets up everything that urlseq needs; --help says more. Each run looks at what is really installed: an interrupted one
# is taken up where it stopped, and one with nothing to do takes a second or two.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage='Usage: bash setup_colab.sh [--dev] [--spark] [--export] [--serve]

Installs what urlseq needs and prints the versions. Safe to run again: what is there, in a version that fits, stays.
In Colab it installs into the running Python. Elsewhere it makes a virtual environment, .venv, beside this script, with
Python 3.11, 3.12 or 3.13. The Spark parts, and only they, need Java 17 or newer: where there is none, a headless one
is installed if that is allowed (apt-get, as root or by a sudo that asks for no password).

  --spark  also fetch what Spark lacks to read S3: 13 MB of jars, in about a minute
  --export also install the converter for TensorFlow.js and, where there is npm, what the page in web/ is built with
  --serve  also install the protocol of TensorFlow Serving, and the search index and the TF-IDF of notebook 6
  --dev    all of these, and what the tests need, with a browser (chromium of Debian), what the programs in ports/ are
           built with (g++, a JDK, 170 MB of jars) and, where there is Go, an S3 server to test against (built in about
           four minutes, once)'
extras=notebooks
for option in "$@"; do
    case "$option" in
        --dev | --spark | --export | --serve) extras+=,${option#--} ;;
        --help | -h) echo "$usage"; exit ;;
        *) echo "setup_colab.sh: unknown option '$option', see --help" >&2; exit 2 ;;
    esac
done
chosen() { [[ ,$extras, == *,dev,* || ,$extras, == *,$1,* ]]; }
warn() { echo "$*" >&2; }
fail() { warn "setup_colab.sh: $* Then run this again."; exit 1; }

# Installs the first of the given packages that this release of Debian or Ubuntu has. Fails where that can't be done.
apt_install() {
    local root=""
    [ "$(id -u)" -eq 0 ] || root="sudo -n"
    command -v apt-get >/dev/null && $root true 2>/dev/null || return 1
    echo "Installing $1 or the like, by apt-get"
    $root apt-get update -qq >/dev/null 2>&1 || true # an older list may do
    for package in "$@"; do
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" \
            >/dev/null 2>&1 </dev/null && return
    done
    return 1
}

# Newer Pythons are left out because TensorFlow has no packages for them yet.
fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
version() { "$python" -Ic "from importlib.metadata import version; print(version('$1'))" 2>/dev/null; }
has() { version "$1" >/dev/null; }

make_environment() {
    local base
    for base in python3 python3.13 python3.12 python3.11 ""; do fits "${base:-false}" && break; done
    [ -n "$base" ] || fail "found no Python 3.11, 3.12 or 3.13 (python3 is $(python3 -V || echo missing)). Install one."
    echo "Making .venv with $("$base" -V)"
    package=$("$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])') # what Debian and Ubuntu leave out
    "$base" -c 'import venv, ensurepip' 2>/dev/null || apt_install "$package" || fail "$base needs $package. Install it."
    "$base" -m venv --clear .venv || fail "could not make .venv, see above. Put that right."
}

python=python colab=yes
if [ -z "${COLAB_RELEASE_TAG:-}" ] && ! { [ -d /content ] && has google-colab; }; then
    python=.venv/bin/python colab=no
    "$python" -c "" 2>/dev/null || make_environment
    fits "$python" && "$python" -c "import pip" ||
        fail ".venv has $("$python" -V), not 3.11, 3.12 or 3.13, or it has no pip. Remove .venv."
    # INSTALLER is among the last files that pip writes. Where a run was killed before that, pip would take the package
    # for complete, so forget it: pip then installs it over what is there.
    for package in .venv/lib/python3*/site-packages/*.dist-info; do [ -e "$package/INSTALLER" ] || rm -rf "$package"; done
fi

# Prints what pyproject.toml asks for with the chosen extras and nothing installed meets. It reads what pip left on the
# disk and imports no package: TensorFlow alone would take seconds.
unmet() {
    "$python" -I - "$extras" <<'CODE'
import sys, tomllib
from importlib.metadata import version
from pip._vendor.packaging.requirements import Requirement  # pip has its own copy, so it is always there

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
lines = [*project["dependencies"], f"urlseq[{sys.argv[1]}]"]
for requirement in map(Requirement, lines):
    if requirement.name == "urlseq":  # an extra: its lines come after the others
        lines += [line for extra in requirement.extras for line in project["optional-dependencies"][extra]]
        continue
    try:
        assert requirement.specifier.contains(version(requirement.name), prereleases=True)
    except Exception:  # another version, or none, or half of it
        print(requirement)
CODE
}
# What needs nothing of Python is installed beside it, by a process of its own. Where it fails, the script goes on and says
# what won't work.
install_page_tools() {
    echo "Installing what the page is built with"
    (cd web && npm ci --no-audit --no-fund --loglevel=error) ||
        warn "npm failed, or there is none (Node 20 or newer brings it): the page can't be built."
}
build_server() {
    echo "Building the S3 server of the tests (one to four minutes)"
    GOBIN="$PWD/.cache/bin" go install -ldflags="-s -w" github.com/versity/versitygw/cmd/versitygw@v1.8.0 2>.cache/go.log ||
        warn "Could not build versitygw, see .cache/go.log: the tests against S3 will be skipped."
}
if chosen export && ! [ web/node_modules/.package-lock.json -nt web/package-lock.json ]; then install_page_tools & fi
if chosen dev && [ ! -x .cache/bin/versitygw ] && command -v go >/dev/null; then
    mkdir -p .cache
    build_server &
fi

missing=$(unmet)
# Elsewhere than in Colab, whose notebooks put the repository on sys.path, the package is installed as a link to here.
[ $colab = yes ] || [ "$(version urlseq)" = "$(sed -n 's/^__version__ = "\(.*\)"/\1/p' urlseq/__init__.py)" ] || missing+=" urlseq"
tpu=no # Colab's TPU image comes without TensorFlow (but with the library that drives a TPU)
[ $colab = no ] || { has tensorflow && ! has libtpu; } || tpu=yes

# Silent about what --no-deps, below, leaves out on purpose.
pip_install() { "$python" -m pip install --disable-pip-version-check --no-input --no-warn-conflicts "$@"; }
if [ -n "$missing" ]; then
    echo "Installing ${missing//$'\n'/ }"
    # What fits stays, as long as nobody says --upgrade. TensorFlow is named, or pip might move it to where the newest
    # tf-keras wants it: Colab's own, too.
    [[ $missing == *tensorflow[\<\>]* ]] || pin="==$(version tensorflow)"
    pip_install "tensorflow${pin:-}" --editable ".[$extras]" ||
        fail "pip did not install everything, see above. Check the network and the free disk space (4 GB)."
fi
# The converter pins packages that hold TensorFlow back, and needs none of them here. Of bioregistry only the data files
# are read: 38,000 real URLs, to show and to measure on.
if chosen export && ! has tensorflowjs; then
    pip_install -q --no-deps tensorflowjs==4.22.0 || warn "No tensorflowjs, see above: copies can't be exported."
fi
has bioregistry || pip_install -q --retries 1 --no-deps bioregistry || warn "No bioregistry, so fewer real URLs to show."
# From here on nothing stops the script: where something fails, it says what won't work.
! chosen dev || command -v chromium >/dev/null || apt_install chromium ||
    warn "Could not install Chromium: the page's tests will be skipped."
wait # for what began beside this
# Built now, so that their tests need no network.
if chosen dev; then
    command -v g++ >/dev/null || apt_install g++ || true # each program says itself what it lacks
    command -v javac >/dev/null || apt_install openjdk-21-jdk-headless openjdk-17-jdk-headless || true
    command -v mvn >/dev/null || apt_install maven || true
    build() { for run in "$@"; do PYTHON=$python "$run" || warn "The tests of $run will be skipped, or fail."; done; }
    build ports/cpp/run &
    build ports/java*/run & # one after the other: they share Maven's folder
fi

# The first Java of version 17 or newer; Spark itself takes JAVA_HOME where it is set, else the one on PATH.
spark_java=${JAVA_HOME:+$JAVA_HOME/bin/java}
spark_java=${spark_java:-$(command -v java || true)}
find_java() {
    for java in "$spark_java" /usr/lib/jvm/*/bin/java /Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java; do
        [ -x "$java" ] && [[ $("$java" -version 2>&1) =~ version\ \"([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 17 ] && return
    done
    java=none && return 1
}
find_java || { apt_install openjdk-21-jre-headless openjdk-17-jre-headless && find_java; } ||
    warn "The Spark parts, and only they, need Java 17 or newer. On Debian or Ubuntu, as root:
apt-get install openjdk-17-jre-headless; elsewhere see https://adoptium.net. Then run this again."
home=$(readlink -f "$java") && home=${home%/bin/java}
[ "$java" = none ] || ! chosen spark || JAVA_HOME=$home "$python" -W ignore -m urlseq.spark || true
wait # for the programs in ports/

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null) || gpu=none
printf '\n%-12s%s\n' Python "$("$python" -c 'import platform; print(platform.python_version())')"
for name in tensorflow keras numpy pandas pyarrow pyspark; do printf '%-12s%s\n' $name "$(version $name)"; done
printf '%-12s%s\n%-12s%s\n\n' GPU "${gpu//$'\n'/, }" Java "$java"
[ $tpu = no ] || echo "This is Colab's TPU image, which comes without TensorFlow. What was installed instead does not use the
TPU: choose a CPU or a GPU under Runtime > Change runtime type."
[ "$gpu" = none ] || [ $colab = yes ] || has nvidia-cudnn-cu12 ||
    echo "For TensorFlow to use the GPU (4 GB more): $python -m pip install 'tensorflow[and-cuda]<2.22'"
[ "$java" = none ] || [ "$java" = "$spark_java" ] || echo "For the Spark parts, set JAVA_HOME to $home"
[ $colab = no ] || [ -z "$missing" ] || echo "Packages were installed: if a notebook runs, choose Runtime > Restart session."
echo "Ready: $python -m urlseq"
