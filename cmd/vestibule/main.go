// Command vestibule is a backend-for-frontend for web applications that sign people in with OAuth 2 and OpenID Connect.
//
// This package is wiring only: it reads the configuration, makes each part from it and hands them to one another.
//
//	main → run → verb: serve, demo, check, simulate, healthcheck, keygen, version
//
// Read run.go first, then wire.go for how the parts are put together.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(untilSignal(os.Stderr), process{
		args: os.Args[1:], environ: os.Environ, lookup: os.LookupEnv,
		out: os.Stdout, errw: os.Stderr,
	}))
}

// untilSignal is a context that the first signal ends; a second one ends the process. errw hears of that where a person reads it.
func untilSignal(errw io.Writer) context.Context {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup wants to outlive its terminal
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := context.WithCancel(context.Background())
	asked := make(chan os.Signal, 2)
	signal.Notify(asked, signals...)
	go func() {
		<-asked
		stop()
		if isTerminal(errw) {
			_, _ = io.WriteString(errw, "vestibule: stopping; Ctrl-C again stops at once\n")
		}
		again := <-asked
		for again == syscall.SIGHUP { // the kernel and the shell may each send one when a terminal closes
			again = <-asked
		}
		end(again)
	}()
	return ctx
}

// end ends the process by the signal, so that its parent sees why. Nothing comes of that in a container's first process, nor where the
// parent had the signal ignored: then it exits as a shell says that a signal ended something.
func end(by os.Signal) {
	signal.Reset(by)
	number, ok := by.(syscall.Signal)
	if self, err := os.FindProcess(os.Getpid()); err == nil && ok {
		_ = self.Signal(number)
		<-time.After(100 * time.Millisecond)
	}
	os.Exit(128 + int(number))
}
