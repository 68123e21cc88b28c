// Command backdrop starts what stands behind a Next.js application under test: the development provider (idp/devidp) and the local
// AppSync Events server (upstream/eventsdev), on free ports of this machine. It is for the tests in e2e/wirings.
//
// It prints one line of JSON (type scene) once both listen, and ends at SIGINT, SIGTERM, or when its standard input closes: a
// test that dies leaves nothing behind. Both servers are steered over HTTP, below /devidp/ and /eventsdev/.
//
// Read run first.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"vestibule/idp/devidp"
	"vestibule/upstream/eventsdev"
)

// scene is where everything is, and who can sign in.
type scene struct {
	Issuer         string `json:"issuer"`
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret"`
	PublicClientID string `json:"publicClientId"`
	Events         string `json:"events"`
	Realtime       string `json:"realtime"`
	Certificate    string `json:"certificate"` // path of a PEM file
	Users          []user `json:"users"`
}

type user struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "backdrop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("backdrop", flag.ContinueOnError)
	var provider devidp.Config
	flags.Func("origin", "public `origin` of a Vestibule that may use the provider; may be repeated", func(origin string) error {
		provider.RedirectURIs = append(provider.RedirectURIs, origin+"/api/auth/sign-in-callback")
		provider.LogoutURIs = append(provider.LogoutURIs, origin+"/api/auth/sign-out-callback")
		return nil
	})
	flags.DurationVar(&provider.AccessLife, "access-life", time.Hour, "how long access and ID tokens live")
	flags.DurationVar(&provider.Grace, "grace", 0, "how long a rotated refresh token still answers")
	userName := flags.String("user-name", "", "subject and user `name` of the first demo user, in place of a UUID")
	dir := flags.String("dir", "", "existing `folder` for the events server's certificate; required")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	if *dir == "" {
		return errors.New("-dir is missing")
	}
	provider.IDLife = provider.AccessLife
	if *userName != "" {
		provider.Users = devidp.DemoUsers()
		provider.Users[0].Sub = *userName
	}
	return serve(ctx, provider, *dir, in, out)
}

func serve(ctx context.Context, c devidp.Config, dir string, in io.Reader, out io.Writer) (err error) {
	provider, err := devidp.Start(c)
	if err != nil {
		return fmt.Errorf("start the provider: %w", err)
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	events, err := eventsdev.Start(eventsdev.Config{TLS: true, Issuer: provider.Issuer(), ClientIDs: []string{provider.ClientID()}})
	if err != nil {
		return fmt.Errorf("start the events server: %w", err)
	}
	defer func() { err = errors.Join(err, events.Close()) }()
	certificate := filepath.Join(dir, "events.pem")
	if err := os.WriteFile(certificate, events.Certificate(), 0o644); err != nil {
		return fmt.Errorf("write the certificate: %w", err)
	}
	if err := json.NewEncoder(out).Encode(describe(provider, events, certificate)); err != nil {
		return fmt.Errorf("say where everything is: %w", err)
	}
	waitForEnd(ctx, in)
	return nil
}

func describe(provider *devidp.Server, events *eventsdev.Server, certificate string) scene {
	s := scene{
		Issuer: provider.Issuer(), ClientID: provider.ClientID(), ClientSecret: provider.ClientSecret(), PublicClientID: provider.PublicClientID(),
		Events: events.Endpoint(), Realtime: events.RealtimeURL(), Certificate: certificate,
	}
	for _, u := range provider.Users() {
		s.Users = append(s.Users, user{u.Email, u.Password})
	}
	return s
}

// waitForEnd returns when the context ends or the input does.
func waitForEnd(ctx context.Context, in io.Reader) {
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(closed)
	}()
	select {
	case <-ctx.Done():
	case <-closed:
	}
}
