package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vestibule/config"
	"vestibule/idp"
	"vestibule/web"
)

// checkTimeout bounds what check waits for the provider.
const checkTimeout = 15 * time.Second

// check says every fault at once: of the configuration, of the secrets behind it, of the provider. --offline leaves the network out.
func check(ctx context.Context, p process, args []string) error {
	args = slices.Clone(args)
	offline := false
	for i := len(args) - 1; i >= 0; i-- {
		if args[i] == "--offline" {
			offline, args = true, slices.Delete(args, i, i+1)
		}
	}
	cfg, faults := load(p, args)
	log, closeLog := newLogger(&config.Config{Log: config.Log{Level: "error"}}, p.errw)
	defer closeLog()
	pl := plan{config: cfg, log: log, metrics: web.NewMetrics(), offline: offline}
	var unread config.Faults
	pl.secrets, unread = resolve(ctx, pl, p.lookup)
	faults = append(faults, newFaults(faults, unread)...)
	if !offline {
		faults = append(faults, checkProvider(ctx, pl, faults)...)
	}
	if len(faults) == 0 {
		// The very construction that serve makes: what it would refuse is said here.
		if _, err := wire(pl); err != nil {
			return err
		}
	}
	if len(faults) > 0 {
		return faultsError{faults}
	}
	_, err := fmt.Fprintf(p.out, "the configuration is good: %s signs in at %s\n", cfg.PublicURL, cfg.Provider.Issuer)
	if offline && err == nil {
		_, err = fmt.Fprintln(p.out, "the provider, and secrets behind awssm:, were not looked at (--offline)")
	}
	return err
}

// newFaults leaves out what is known to be at fault already.
func newFaults(known, more config.Faults) config.Faults {
	return slices.DeleteFunc(more, func(f config.Fault) bool {
		return slices.ContainsFunc(known, func(k config.Fault) bool { return k.Key == f.Key })
	})
}

// checkProvider reaches the issuer, if the configuration says where it is.
func checkProvider(ctx context.Context, pl plan, known config.Faults) config.Faults {
	for _, f := range known {
		if f.Key == "provider.issuer" || f.Key == "public_url" || f.Key == "provider.client_id" {
			return nil
		}
	}
	if pl.config.Provider.Issuer == "" {
		return nil
	}
	provider, err := newProvider(pl.config, pl.secrets, nil, nil)
	if err != nil {
		if len(known) > 0 {
			return nil // they say it already
		}
		return config.Faults{{Key: "provider", Problem: err.Error(), Hint: "see docs/configuration.md"}}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err = provider.Check(ctx)
	var e *idp.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && errors.Is(err, idp.ErrUnavailable):
		return config.Faults{{Key: "provider.issuer", Problem: err.Error(), Hint: "check that the address is right and reachable from here, or leave the network out with --offline"}}
	}
	return config.Faults{{Key: "provider.issuer", Problem: err.Error(), Hint: "compare it with the issuer in the provider's own discovery document"}}
}
