package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"vestibule/config"
)

// healthTimeout bounds one question of healthcheck. Whoever runs probes has a limit of their own, which is no shorter as a rule.
const healthTimeout = 2 * time.Second

// healthcheck asks a running Vestibule whether it lives, for images that hold no other program that could. It reads the same file and
// environment as serve, and asks the admin listener, or where nobody listens there, the public one. --url asks that address alone.
func healthcheck(ctx context.Context, p process, args []string) error {
	addresses, err := healthAddresses(p, args)
	if err != nil {
		return err
	}
	client := &http.Client{
		Timeout:       healthTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy of the environment
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, address := range addresses {
		if err = askHealth(ctx, client, address); err == nil || !nobodyListens(err) {
			break
		}
	}
	return err
}

func askHealth(ctx context.Context, client *http.Client, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", cause(err))
	}
	res, err := client.Do(r)
	if err != nil {
		var op *url.Error
		if errors.As(err, &op) {
			err = op.Err // without the address, which may have come with a password
		}
		return fmt.Errorf("healthcheck: %s: %w", r.URL.Host, err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s%s: %s", r.URL.Host, r.URL.Path, res.Status)
	}
	return nil
}

// nobodyListens tells a closed port from a process that does not answer: the second one is not well.
func nobodyListens(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !op.Timeout()
}

// healthAddresses are where to ask, in turn. What else may be wrong with the configuration is for serve to say: the demo has none.
func healthAddresses(p process, args []string) ([]string, error) {
	for i, arg := range args {
		given, is := strings.CutPrefix(arg, "--url=")
		if arg == "--url" && i+1 < len(args) {
			given, is = args[i+1], true
		}
		if !is {
			continue
		}
		u, err := url.Parse(given)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, hinted{errors.New("healthcheck: --url is no address"), "write --url=http://127.0.0.1:8080/healthz"}
		}
		return []string{given}, nil
	}
	cfg, faults := load(p, args)
	for _, f := range faults {
		if slices.Contains([]string{"listen", "admin_listen", "config"}, f.Key) || strings.HasPrefix(f.Key, "--") {
			return nil, faultsError{config.Faults{f}}
		}
	}
	var out []string
	if cfg.AdminListen != "" {
		out = append(out, healthURL(cfg.AdminListen, ""))
	}
	return append(out, healthURL(cfg.Listen, cfg.BasePath())), nil
}

// healthURL is how this machine reaches a listener: one for all addresses is asked at loopback.
func healthURL(listen, base string) string {
	host, port, _ := net.SplitHostPort(listen)
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port) + base + "/healthz"
}
