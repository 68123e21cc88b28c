package main

import (
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// draining is a program that has far to go when it is told to stop; through is what starts it.
func draining(t *testing.T, errw io.Writer, log *screen, through ...string) (tell func(syscall.Signal), ended <-chan error) {
	t.Helper()
	address := freeAddress(t)
	line := append(through, binary(t), "serve", "--listen="+address, "--admin_listen=", "--public_url=http://"+address,
		"--provider.issuer=http://127.0.0.1:1/pool", "--provider.client_id=app", "--provider.client_secret=hunter2hunter2",
		"--session.keys=file:"+keyFile(t), "--shutdown_delay=1m", "--log.format=json")
	process := exec.Command(line[0], line[1:]...)
	process.Stderr = errw
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	end, over := make(chan error, 1), make(chan struct{})
	go func() { end <- process.Wait(); close(over) }()
	t.Cleanup(func() { _ = process.Process.Kill(); <-over })
	until(t, "it serves", func() bool { return strings.Contains(log.String(), `"msg":"serving"`) })
	return func(s syscall.Signal) {
		if err := process.Process.Signal(s); err != nil {
			t.Error(err)
		}
	}, end
}

func drains(t *testing.T, log *screen) {
	t.Helper()
	until(t, "it drains", func() bool { return strings.Contains(log.String(), `"msg":"stopping"`) })
}

func endsAtOnce(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on draining after a second signal")
	}
}

// A shell script has the programs that it starts in the background ignore Ctrl-C.
func TestASecondSignalEndsAProcessWhoseParentIgnoresIt(t *testing.T) {
	t.Parallel()
	log := &screen{}
	tell, ended := draining(t, log, log, "sh", "-c", `trap "" INT; exec "$0" "$@"`)
	tell(syscall.SIGINT)
	drains(t, log)
	tell(syscall.SIGINT)
	endsAtOnce(t, ended)
}

func TestAClosedTerminalDrains(t *testing.T) {
	t.Parallel()
	log := &screen{}
	tell, ended := draining(t, log, log)
	tell(syscall.SIGHUP)
	drains(t, log)
	tell(syscall.SIGHUP) // the shell's, beside the kernel's
	select {
	case err := <-ended:
		t.Fatalf("it ended (%v) within the delay, when the terminal had closed:\n%s", err, log)
	case <-time.After(50 * time.Millisecond):
	}
	tell(syscall.SIGTERM)
	endsAtOnce(t, ended)
}

func TestNohupOutlivesItsTerminal(t *testing.T) {
	t.Parallel()
	log := &screen{}
	tell, ended := draining(t, log, log, "sh", "-c", `trap "" HUP; exec "$0" "$@"`)
	tell(syscall.SIGHUP)
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if strings.Contains(log.String(), `"msg":"stopping"`) {
		t.Error("it stops because its terminal has closed")
	}
}
