#!/usr/bin/env bash
# The plug-in in a real OpenFX host: melt of MLT 7.42 from Debian's unstable distribution, in a folder of its own. Paints
# twelve frames of the sample clip through the render server and holds them against a direct render. `make ofx-host`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
root=${1:-build/ofx-host}
bin=${BIN:-.venv/bin}

skip() {
    echo "skipped: $1"
    exit 0
}

[ "$(id -u)" = 0 ] || skip 'a root folder of Debian can only be made by root'
command -v mmdebstrap >/dev/null || skip 'mmdebstrap is not installed (Debian, Ubuntu: apt install mmdebstrap)'
if [ ! -x "$root/usr/bin/melt" ]; then
    rm -rf "$root"
    mmdebstrap --quiet --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' --include=melt,libmlt-data sid "$root" \
        || { rm -rf "$root" && skip 'Debian sid could not be fetched'; }
fi
root=$(realpath "$root")
runtime=$(mktemp -d /tmp/impasto-ofx-XXXXXX)
leave() {
    IMPASTO_RUNTIME=$runtime "$bin/impasto" stop --now >/dev/null 2>&1 || true
    rm -rf "$runtime" "$root/plugins" "$root/work"
}
trap leave EXIT
mkdir -p "$root/work" "$root/runtime"
cp tests/media/harbour.mp4 "$root/work/plate.mp4"
"$bin/impasto" ofx install --dir "$root/plugins"
export IMPASTO_RUNTIME=$runtime
"$bin/impasto" render tests/media/harbour.mp4 "$root/work/direct.mp4" --style wheatfield --frames 1-12 --overwrite
# A mount namespace: the server's folder and /proc, where the shared memory is, are seen inside; nothing stays mounted.
unshare --mount bash -euo pipefail -c '
    mount --bind "$2" "$1/runtime" && mount -t proc proc "$1/proc"
    chroot "$1" env OFX_PLUGIN_PATH=/plugins IMPASTO_RUNTIME=/runtime HOME=/tmp melt /work/plate.mp4 out=11 \
        -attach-track openfx.org.impasto.stylize -consumer avformat:/work/melt.mp4 vcodec=libx264 crf=8 an=1 real_time=-1
' - "$root" "$runtime" >"$root/work/melt.log" 2>&1 || { cat "$root/work/melt.log" && exit 1; }
"$bin/python" - "$root/work" <<'PYTHON'
import sys

import av
import numpy as np


def frames(name: str) -> list[np.ndarray]:
    with av.open(f"{sys.argv[1]}/{name}.mp4") as movie:
        return [frame.to_ndarray(format="rgb24").astype(float) for frame in movie.decode(video=0)][:11]


def distance(a: str, b: str) -> float:
    worst = max(np.mean((x - y) ** 2) for x, y in zip(frames(a), frames(b), strict=True))
    return float(10 * np.log10(255**2 / worst))


painted, plate = distance("melt", "direct"), distance("melt", "plate")
print(f"melt against a direct render {painted:.1f} dB, against the plate {plate:.1f} dB")
assert painted > 28 and painted > plate + 6, "expected the picture of a direct render"
PYTHON
