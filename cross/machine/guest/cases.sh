#!/bin/sh
# What happens to the camera of the emulated machine, case by case, while one doorward guards its door. Nothing is judged here: what was done
# when goes to /out/timeline, in seconds since the machine started, which is the clock of the events' `monotonic_ms`, too.
export RUST_LOG=warn,doorward::capture=info,doorward::cmd=info
readonly LINK=/dev/v4l/by-id/usb-Door_Camera-video-index0
feed='' door=''

mark() {
    read -r now _ < /proc/uptime
    echo "$now $*" | tee -a /out/timeline
}

# What does not come is looked into at once: what the threads are at, and what doorward counted.
missed() {
    mark "never: $1"
    top -b -n 1 | head -12
    for task in "/proc/$door/task"/*; do echo "$(cat "$task/comm") $(cut -d' ' -f3,14,15 "$task/stat") $(cat "$task/wchan")"; done
    kill -TERM "$door" && wait "$door"
    mark "given up"
    exit 1
}

# within SECONDS WHAT COMMAND...: waits until the command succeeds, and says when, or that it never did.
within() {
    limit=$1 what=$2
    shift 2
    read -r now _ < /proc/uptime
    deadline=$((${now%.*} + limit))
    until "$@"; do
        read -r now _ < /proc/uptime
        [ "${now%.*}" -lt "$deadline" ] || missed "$what"
        sleep 0.05
    done
    mark "$what"
}

# Where the log, or the events, end now: what follows counts.
here() { log_at=$(wc -l < /out/log) events_at=$(wc -l < /out/events.jsonl); }
logged() { tail -n +$((log_at + 1)) /out/log | grep -q "$1"; }
event() { tail -n +$((events_at + 1)) /out/events.jsonl | grep -q "$1"; }
granted() { event "\"decision\":\"granted\".*\"subject\":\"$1\""; }
reopened() { logged "camera $LINK (/dev/video[0-9]*): "; }

# plug NUMBER [PARAMETER...]: the device; plugged in, but for its link.
plug() {
    node=$1
    shift
    insmod /modules/v4l2loopback.ko video_nr="$node" card_label=Door-Camera exclusive_caps=1 max_buffers=4 "$@" || missed "plugged in"
}

# There is no udev here: the link that it would make.
link() {
    mkdir -p "${LINK%/*}"
    ln -sfn "../../video$node" "$LINK"
}

# The camera behind the device sends: WIDTH HEIGHT FOURCC, from the folder /show.
start_feed() {
    feed "/dev/video$node" "$1" "$2" "$3" 3 /show 2>> /out/feed.log &
    feed=$!
}

show() {
    ln -sfn "/frames/$1" /show
    mark "shown: $1"
}

# Nobody is there for so long that the next face is another track. away [FOLDER]
away() {
    show "${1:-nobody}"
    sleep 5
}

# Pulled out under whoever reads, and gone with its link.
unplug() {
    echo 1 > "/sys/class/video4linux/video$node/unplug"
    rm -f "$LINK"
    mark "unplugged: /dev/video$node"
    wait "$feed" 2> /dev/null
    within 10 "nobody has it open any more" rmmod v4l2loopback
}

# --- what is shown --------------------------------------------------------------------------------------------------

# Between good frames of somebody enrolled: one cut in half, noise, zeros, one byte. The good ones carry on.
broken=/frames/broken
mkdir -p $broken /frames/nothing /frames/yuyv /frames/grey /frames/yuyv-nobody /frames/grey-nobody
i=0
for good in /frames/obama/*; do
    cp "$good" "$broken/$(printf %02d $i)"
    head -c 9000 "$good" > "$broken/$(printf %02d $((i + 1)))"
    case $((i % 3)) in
    0) head -c 20000 /dev/urandom ;;
    1) head -c 20000 /dev/zero ;;
    2) printf '\377' ;;
    esac > "$broken/$(printf %02d $((i + 2)))"
    i=$((i + 3))
done
for number in 00 01 02 03; do
    djpeg -pnm /frames/obama/$number > /frames/yuyv/$number
    djpeg -grayscale -pnm /frames/resident/$number > /frames/grey/$number
done
djpeg -pnm /frames/nobody/00 > /frames/yuyv-nobody/00
djpeg -grayscale -pnm /frames/nobody/00 > /frames/grey-nobody/00
head -c 20000 /dev/zero > /frames/nothing/00

# --- the cases ------------------------------------------------------------------------------------------------------

mark "cameras: none"
doorward cameras; echo "$?" > /out/cameras-none
mark "enrolled"
doorward enrol --config /door.toml "Resident" /enrol/resident/* || missed "enrolled"
doorward enrol --config /door.toml "Barack Obama" /enrol/obama/* || missed "enrolled"

touch /out/log /out/events.jsonl
here
doorward run --config /door.toml 2>> /out/log &
door=$!
within 30 "missing: reported" logged "No such file"
plug 0
link
within 5 "no writer: reported" logged "gives no pictures"
show resident
mark "returned: with a writer"
start_feed 640 360 MJPG
within 20 "reopened: with a writer" reopened
within 120 "granted: resident" granted resident

away
here
show collins
within 120 "denied: stranger" event '"decision":"denied".*"below-threshold"'

# Nobody is there when the camera stalls; then one frame comes through of somebody whom the door knows, which is one look, and two are needed. The
# camera is opened again and again meanwhile, and v4l2loopback gives its last frame to every new reader: an old frame, and no second look.
here
away
kill -USR1 $feed
mark "stalled"
within 10 "stall: reported" logged "no frame for 1000 ms"
show obama
sleep 1
kill -USR2 $feed
mark "one frame"
sleep 8
show collins
mark "resumed"
here
kill -USR1 $feed
within 120 "denied: after the stall" event '"decision":"denied".*"below-threshold"'

away
here
echo 3 > /sys/class/video4linux/video0/fault
within 10 "damaged: reported" logged "the driver says that it is damaged"
show broken
within 20 "corrupt: reported" logged "corrupt frame skipped: cut off"
within 120 "granted: between broken frames" granted barack-obama

away
here
show nothing
within 20 "nothing whole: reported" logged "not one whole frame"
show resident
within 120 "granted: after nothing whole" granted resident

here
mark "failed: a read"
echo -1 > /sys/class/video4linux/video0/fault
within 10 "failed read: reported" logged "gives no more frames: Input/output error"
within 10 "reopened: after a failed read" reopened

away
here
show obama
unplug
within 10 "unplugged: reported" logged "gives no more frames"
sleep 4
here
plug 1
link
mark "returned: as /dev/video1"
start_feed 640 360 MJPG
within 20 "reopened: as /dev/video1" logged "(/dev/video1): MJPG"
within 120 "granted: as /dev/video1" granted barack-obama

# No more than two may have it open: the camera behind it, and another program.
away
unplug
here
plug 0 max_openers=2
start_feed 640 360 MJPG
within 10 "another program reads it" sh -c 'head -c 100 /dev/video0 > /dev/null'
cat /dev/video0 > /dev/null &
other=$!
sleep 0.5
link
within 10 "busy: reported" logged "another program has it"
show resident
kill $other
wait $other 2> /dev/null
mark "returned: from another program"
within 20 "reopened: from another program" reopened
within 120 "granted: from another program" granted resident

away
for format in YUYV GREY; do
    folder=$(echo $format | tr '[:upper:]' '[:lower:]')
    unplug
    show "$folder"
    here
    plug 0
    link
    mark "returned: as $format"
    start_feed 640 360 $format
    within 20 "reopened: as $format" logged "(/dev/video0): $format 640x360"
    within 120 "granted: as $format" event '"decision":"granted"'
    away "$folder-nobody"
done

unplug
here
show nothing
plug 0
link
start_feed 640 360 RGB3
within 10 "unreadable: reported" logged "sends RGB3, of which nothing is read"

unplug
here
show nobody
plug 0
link
start_feed 320 180 MJPG
within 20 "another size: reported" logged "320x180.*though 640x360"

# Two at once, one of them in use by the door.
unplug
here
node=0
insmod /modules/v4l2loopback.ko devices=2 video_nr=0,2 card_label=Door-Camera,Other-Camera exclusive_caps=1,1 max_buffers=4
link
show resident
start_feed 640 360 MJPG
feed /dev/video2 640 360 YUYV 3 /frames/yuyv 2>> /out/feed.log &
within 20 "reopened: one of two" reopened
doorward cameras > /out/cameras.txt; echo "$?" > /out/cameras-two
doorward cameras --config /door.toml --json > /out/cameras.jsonl
mark "cameras: two"
within 120 "granted: one of two" granted resident

mark "stopped"
kill -TERM $door
wait $door
echo "$?" > /out/exit-code
mark "ended"
