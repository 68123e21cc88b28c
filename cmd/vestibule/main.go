// Command vestibule is a backend-for-frontend for web applications that sign people in with OAuth 2 and OpenID Connect.
//
// This package is wiring only: it reads the configuration, makes each part from it and hands them to one another.
//
//	main → run → verb: serve, demo, check, keygen, version
//
// Read run.go first, then wire.go for how the parts are put together.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, process{
		args: os.Args[1:], environ: os.Environ, lookup: os.LookupEnv,
		out: os.Stdout, errw: os.Stderr,
	}))
}
