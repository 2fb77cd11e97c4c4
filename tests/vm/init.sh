#!/bin/sh
# The guest's first and only process: runs the checks, tells their output and status between marks
# on the console, and switches the machine off. `cargo xtask vm` reads the marks.
/bin/busybox --install -s /bin
export PATH=/sonde:/bin HOME=/tmp
mkdir -p /proc /sys /dev /tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
ifconfig lo 127.0.0.1 up
# Messages of the kernel would cut into ours; that it died it tells all the same.
dmesg -n 1

section() {
	name=$1
	shift
	echo "@begin $name"
	"$@" </dev/null 2>&1
	printf '\n@end %s %s\n' "$name" $?
}

# Every kind of request on a socket, and what the agent tells of the server's.
requests() {
	sonde-agent run --requests on --otlp off --collector http://127.0.0.1:1 >/tmp/agent.log 2>&1 &
	agent=$!
	tries=0
	until wget -q -O /dev/null http://127.0.0.1:4041/healthz 2>/dev/null || [ $tries -gt 15 ]; do
		sleep 1
		tries=$((tries + 1))
	done
	web 50 || echo "web failed"
	sleep 3
	wget -q -O - http://127.0.0.1:4041/metrics | grep -E '_losses_total|server_request_duration_seconds_count'
	kill $agent
	grep -v 'a push failed' /tmp/agent.log | tail -c 4000
}

read -r up _ </proc/uptime
section booted echo "$up"
section release uname -r
section probe sonde-agent probe
while read -r case program; do
	# The words of $program are the command and its arguments.
	section "record $case" sonde-agent record --duration 3s -o "/tmp/$case.folded" -- $program
	section "folded $case" cat "/tmp/$case.folded"
done </sonde/cases
section requests requests
section done true
poweroff -f
