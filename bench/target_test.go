package main

import (
	"math"
	"os"
	"os/exec"
	"testing"
)

func TestMemoryThatCannotBeReadIsAnErrorAndNotNothing(t *testing.T) {
	tests := map[string]struct {
		status string
		want   float64
		fails  bool
	}{
		"a running process":      {"Name:\tx\nVmHWM:\t   99999 kB\nVmRSS:\t   20480 kB\nThreads:\t9\n", 20, false},
		"a process that ended":   {"Name:\tx\nState:\tZ (zombie)\nThreads:\t1\n", 0, true},
		"no number":              {"VmRSS:\n", 0, true},
		"nothing resident":       {"VmRSS:\t0 kB\n", 0, true},
		"another unit":           {"VmRSS:\t20 MB\n", 0, true},
		"an empty file":          {"", 0, true},
		"the last line, cut off": {"VmRSS:\t2048 kB", 2, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := residentSet(tt.status)
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("got %v, %v, want %v, an error: %v", got, err, tt.want, tt.fails)
			}
		})
	}
}

func TestMemoryOfAProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc here; the benchmark needs Linux")
	}
	own := &target{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	if got, err := own.memory(); err != nil || got < 1 {
		t.Errorf("this process: got %v MB, %v", got, err)
	}
	gone := &target{cmd: &exec.Cmd{Process: &os.Process{Pid: math.MaxInt32}}}
	if got, err := gone.memory(); err == nil {
		t.Errorf("no process: got %v MB, want an error", got)
	}
}
