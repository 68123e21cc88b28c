package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"vestibule/config"
	"vestibule/handlers"
	"vestibule/secret"
	"vestibule/web"
)

const demoListen = "localhost:8080"

// demo serves everything at once with nothing configured: a provider, an event server, Vestibule and a page, on loopback. State
// ends with the process.
func demo(ctx context.Context, p process, args []string) error {
	flags, err := readDemoFlags(args)
	if err != nil {
		return err
	}
	if flags.published && !inContainer(p) {
		return errNotInContainer
	}
	address, err := demoAddress(flags.listen)
	if err != nil {
		return err
	}
	public, err := listen("listen", address)
	if err != nil {
		return err
	}
	if _, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		address = net.JoinHostPort("localhost", portOf(public))
	}
	origin := "http://" + address
	aws, err := startStandIns(origin, address, flags)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	defer aws.close()
	busy := newBusyService(public.Addr().String(), func() int64 { return aws.provider.Stats().ClientCredentials.Asked })
	cfg, faults := config.Load(demoSource(origin, flags.mode, aws, busy))
	if len(faults) > 0 {
		return faultsError{faults}
	}
	log, closeLog := newLogger(cfg, p.errw)
	defer closeLog()
	// A burst of a thousand requests would fill the terminal with its audit.
	pl := plan{config: cfg, log: log, audit: slog.DiscardHandler, metrics: web.NewMetrics(), pages: func(h *handlers.Handlers, c *web.Config) {
		c.Home = h.Demo(aws.page())
		page, send := h.DemoMachine(aws.machinePage(busy))
		c.Burst = &web.Burst{Page: page, Send: send}
	}}
	if pl.secrets, faults = resolve(ctx, pl, p.lookup); len(faults) > 0 {
		return faultsError{faults}
	}
	a, err := wire(pl)
	if err != nil {
		return err
	}
	shut, err := flags.open(address, public)
	if err != nil {
		return err
	}
	defer shut()
	greet(p.out, origin, aws)
	return a.run(ctx, public, nil)
}

// demoSource is the demo's configuration. A list of clients is set in a file only, so there is one, which no disk has seen.
func demoSource(origin, mode string, aws standIns, busy *busyService) config.Source {
	return config.Source{
		Args: []string{
			"--config=demo",
			"--public_url=" + origin,
			"--provider.issuer=" + aws.provider.Issuer(),
			"--provider.client_id=" + aws.provider.ClientID(),
			"--provider.client_secret=" + aws.provider.ClientSecret(),
			"--session.keys=" + secret.GenerateKey(),
			"--session.mode=" + mode,
			"--log.level=warn",
			"--machine.enabled=true",
		},
		ReadFile: func(string) ([]byte, error) {
			return fmt.Appendf(nil, "machine: {clients: [{id: %q, secret: %q, scopes: [%q]}]}", busy.id, busy.key, demoScope), nil
		},
	}
}

// demoFlags are what the demo lets itself be told.
type demoFlags struct {
	listen, mode string
	published    bool   // passes on what comes from outside the container
	handover     string // a folder for what others need to use its provider; empty: nobody does
}

func readDemoFlags(args []string) (demoFlags, error) {
	f := demoFlags{listen: demoListen, mode: "cookie"}
	known := map[string]*string{"--listen": &f.listen, "--session.mode": &f.mode, "--handover": &f.handover}
	for i := 0; i < len(args); i++ {
		said := args[i]
		if said == "--published" {
			f.published = true
			continue
		}
		name, value, given := strings.Cut(said, "=")
		if !given && i+1 < len(args) {
			i++
			value, given = args[i], true
		}
		to := known[name]
		if to == nil || !given {
			return f, hinted{fmt.Errorf("demo does not know %q", clip(said)), `its flags are --listen=localhost:8080 and --session.mode=server; what else can be configured is for "vestibule serve"`}
		}
		*to = value
	}
	if f.handover != "" && !f.published {
		return f, hinted{errors.New("demo: --handover does nothing without --published"), "see docs/containers.md"}
	}
	return f, nil
}

// demoAddress refuses what other machines could reach.
func demoAddress(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", hinted{fmt.Errorf("listen: %q is not host:port", clip(address)), "write --listen=localhost:8090"}
	}
	if host == "" {
		host = "localhost"
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return "", hinted{fmt.Errorf("listen: the demo serves loopback only, and %q is not", clip(host)), "write --listen=localhost:" + port}
	}
	return net.JoinHostPort(host, port), nil
}

func greet(w io.Writer, origin string, aws standIns) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  Vestibule demo\n\n  Open     %s\n", origin)
	label := "Sign in"
	for _, u := range aws.provider.Users() {
		fmt.Fprintf(&b, "  %-8s %s   password %s\n", label, u.Email, u.Password)
		label = ""
	}
	fmt.Fprintf(&b, "\n  Machines %s/machine\n", origin)
	fmt.Fprintf(&b, "  Events   %s (for development only)\n", aws.events.Endpoint())
	fmt.Fprintf(&b, "  Provider %s (for development only)\n", aws.provider.Issuer())
	fmt.Fprintf(&b, "  Tokens live %s; everything is forgotten when this stops (Ctrl-C).\n\n", demoAccessLife)
	_, _ = io.WriteString(w, b.String())
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
