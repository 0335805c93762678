#!/bin/sh
# weights/fetch.sh against a server on this machine: what is begun is gone on with, what is wrong is
# not left under its name. The script under test is a copy that expects small files of ours.
count=0 failed=0
check() { # check STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=1; fi
}
skip() {
    echo "ok $((count + 1)) - $1 # SKIP $2"
    echo "1..$((count + 1))"
    exit $failed
}
grep -q '28092 905580ee46dcb9f0b8ac3703987e561eb4245a42' weights/fetch.sh &&
    grep -q '10666211 809dfd7877c8774d36424ad71ed9a7830ce3c3ad' weights/fetch.sh &&
    grep -q 'size=99693937' weights/fetch.sh
check $? "sizes and hashes of the true files"
grep -q 'EXCLUDE COMMERCIAL USE' weights/fetch.sh && grep -q 'Apache License 2.0' weights/fetch.sh
check $? "licences are named"
sh weights/fetch.sh something > /dev/null 2>&1
check $(($? != 2)) "what it does not know is refused"
grep -qx 'weights/detector/' .gitignore && grep -qx 'weights/landmarks/' .gitignore
check $? "what it fetches is not committed"

if ! command -v python3 > /dev/null 2>&1; then skip "a server" "python3 is not installed"; fi
if ! command -v bzip2 > /dev/null 2>&1; then skip "a server" "bzip2 is not installed"; fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/liveness-XXXXXX") || exit 1
server=
trap '[ -n "$server" ] && kill $server; rm -rf "$folder"' EXIT
www=$folder/www got=$folder/got
mkdir "$www" "$got"

# A server that goes on where it is asked to, if the folder has no file "from_start"; "log" tells
# what was asked for, and how many bytes were sent.
cat > "$folder/server.py" << 'PY'
import http.server, os, re, sys
folder = sys.argv[1]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = os.path.join(folder, 'www', os.path.basename(self.path))
        if not os.path.exists(path):
            return self.send_error(404)
        data, code = open(path, 'rb').read(), 200
        size = len(data)
        asked = re.match(r'bytes=(\d+)-$', self.headers.get('Range', ''))
        if asked and not os.path.exists(os.path.join(folder, 'from_start')):
            if int(asked[1]) >= size:
                return self.send_error(416)
            data, code = data[int(asked[1]):], 206
        self.send_response(code)
        self.send_header('Content-Length', str(len(data)))
        if code == 206:
            self.send_header('Content-Range', 'bytes %s-%d/%d' % (asked[1], size - 1, size))
        self.end_headers()
        limit = os.path.join(folder, 'break_off')
        if os.path.exists(limit):
            data = data[:1000]
        self.wfile.write(data)
        self.close_connection = True
        with open(os.path.join(folder, 'log'), 'a') as log:
            print(os.path.basename(path), code, len(data), file=log)
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
with open(os.path.join(folder, 'port.new'), 'w') as port:
    print(server.server_port, file=port)
os.rename(os.path.join(folder, 'port.new'), os.path.join(folder, 'port'))
server.serve_forever()
PY
python3 "$folder/server.py" "$folder" > /dev/null 2>&1 &
server=$!
tries=0
while [ ! -s "$folder/port" ] && [ $tries -lt 500 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
if [ ! -s "$folder/port" ]; then skip "a server" "python3 cannot serve here"; fi
LIVENESS_MIRROR=http://127.0.0.1:$(cat "$folder/port")
WEIGHTS=$got no_proxy=127.0.0.1
export LIVENESS_MIRROR WEIGHTS no_proxy

# ---- the files, and a script that expects them ---------------------------------------------------
prototxt=$www/deploy.prototxt
model=$www/res10_300x300_ssd_iter_140000.caffemodel
dat=$www/shape_predictor_68_face_landmarks.dat
echo 'name: "a network"' > "$prototxt"
dd if=/dev/urandom of="$model" bs=1000 count=20 2> /dev/null
dd if=/dev/urandom of="$dat" bs=1000 count=30 2> /dev/null
bzip2 -k "$dat"
blob() { { printf 'blob %s\0' "$(wc -c < "$1" | tr -d ' ')"; cat "$1"; } | python3 -c '
import hashlib, sys
print(hashlib.sha1(sys.stdin.buffer.read()).hexdigest())'; }
sed -e "s/28092 905580[0-9a-f]*/$(wc -c < "$prototxt" | tr -d ' ') $(blob "$prototxt")/" \
    -e "s/10666211 809dfd[0-9a-f]*/20000 $(blob "$model")/" -e 's/size=99693937/size=30000/' \
    weights/fetch.sh > "$folder/fetch.sh"
fetch() { sh "$folder/fetch.sh" "$@" > "$folder/talk" 2>&1; }
same() { cmp -s "$www/$2" "$got/$1/$2"; }
nothing_else() { ! find "$got" -type f | grep -q '\.part$'; }
fresh() { rm -rf "$got" "$folder/log"; mkdir "$got"; : > "$folder/log"; }
name=res10_300x300_ssd_iter_140000.caffemodel

all_of_it() { # all_of_it TOOL
    fresh
    fetch && same detector deploy.prototxt && same detector $name &&
        same landmarks shape_predictor_68_face_landmarks.dat && nothing_else
    check $? "$1: all is fetched"
    grep -q 'exclude commercial use' "$folder/talk"
    check $? "$1: and the landmarks' terms are told"
    : > "$folder/log"
    fetch && [ ! -s "$folder/log" ]
    check $? "$1: what is there is not fetched again"
    fresh
    fetch landmarks && [ ! -e "$got/detector" ]
    check $? "$1: one thing only"

    fresh
    mkdir "$got/detector"
    head -c 12000 "$model" > "$got/detector/$name.part"
    fetch detector && same detector $name && nothing_else && grep -q "$name 206 8000" "$folder/log"
    check $? "$1: after an interruption only the rest is fetched"
    fresh
    : > "$folder/break_off"
    fetch detector
    status=$?
    [ $status -ne 0 ] && [ ! -e "$got/detector/$name" ] && [ -s "$got/detector/$name.part" ]
    check $? "$1: broken off by the server: the part stays"
    rm "$folder/break_off"
    fetch detector && same detector $name && nothing_else && grep -q "$name 206" "$folder/log"
    check $? "$1: and is gone on with"
    fresh
    mkdir "$got/detector"
    cp "$model" "$got/detector/$name.part"
    fetch detector && same detector $name && ! grep -q "$name" "$folder/log"
    check $? "$1: a part that is whole is taken"
    fresh
    mkdir "$got/detector"
    head -c 12000 "$model" > "$got/detector/$name.part"
    : > "$folder/from_start"
    fetch detector && same detector $name && nothing_else && grep -q "$name 200 20000" "$folder/log"
    check $? "$1: a server that cannot go on begins anew"
    rm "$folder/from_start"

    fresh
    mkdir "$got/detector"
    head -c 25000 /dev/zero > "$got/detector/$name.part"
    { fetch detector || { nothing_else && fetch detector; }; } && same detector $name &&
        nothing_else
    check $? "$1: a part longer than the file is not kept"
    fresh
    mkdir "$got/detector"
    head -c 12000 /dev/zero > "$got/detector/$name.part"
    fetch detector
    status=$?
    [ $status -ne 0 ] && [ ! -e "$got/detector/$name" ] && nothing_else &&
        grep -q 'not the right file: its git hash is' "$folder/talk"
    check $? "$1: wrong bytes: refused, and not left there"
    fetch detector && same detector $name
    check $? "$1: and the next try is right"

    cp "$model" "$folder/true"
    head -c 19999 "$folder/true" > "$model"
    fresh
    fetch detector
    status=$?
    [ $status -ne 0 ] && [ ! -e "$got/detector/$name" ] && nothing_else &&
        grep -q '19999 bytes, expected 20000' "$folder/talk"
    check $? "$1: a wrong size: refused, and not left there"
    cp "$folder/true" "$model"

    cp "$dat.bz2" "$folder/true"
    echo '<html>not here</html>' > "$dat.bz2"
    fresh
    fetch landmarks
    status=$?
    [ $status -ne 0 ] && [ -z "$(find "$got" -type f)" ]
    check $? "$1: what is no bzip2 is thrown away"
    rm "$dat.bz2"
    fetch landmarks
    status=$?
    [ $status -ne 0 ] && grep -q 'libdlib-data' "$folder/talk"
    check $? "$1: what is not there: advice"
    cp "$folder/true" "$dat.bz2"
}

# Each tool alone: a folder of links to all programs but the other one.
tools=0
path=$PATH
for tool in curl wget; do
    command -v $tool > /dev/null 2>&1 || continue
    tools=$((tools + 1))
    mkdir -p "$folder/$tool"
    for program in sh sed cut cat wc tr mkdir mv rm bunzip2 sha1sum dirname head cmp find grep \
        printf openssl $tool; do
        real=$(command -v $program) && [ -x "$real" ] && ln -sf "$real" "$folder/$tool/$program"
    done
    all_of_it_path=$folder/$tool:$path
    [ $tool = wget ] && all_of_it_path=$folder/$tool
    fetch() { PATH=$all_of_it_path sh "$folder/fetch.sh" "$@" > "$folder/talk" 2>&1; }
    all_of_it $tool
done
[ $tools -eq 0 ] && skip "fetching" "neither curl nor wget is installed"

fresh
rm -f "$folder/curl/sha1sum"
fetch detector && same detector $name
check $? "with openssl where there is no sha1sum"
mkdir "$folder/bare"
for program in sh sed cut cat wc tr mkdir rm dirname; do
    ln -sf "$(command -v $program)" "$folder/bare/$program"
done
fresh
PATH=$folder/bare sh "$folder/fetch.sh" detector > "$folder/talk" 2>&1
status=$?
[ $status -ne 0 ] && grep -q 'neither curl nor wget' "$folder/talk"
check $? "neither curl nor wget: says so"
kill $server && wait $server 2> /dev/null
server=
fresh
fetch all
status=$?
[ $status -ne 0 ] && grep -q 'fetch the files on another one' "$folder/talk" &&
    grep -q 'libdlib-data' "$folder/talk"
check $? "no server: plain advice"
echo "1..$count"
exit $failed
