package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"vestibule/config"
	"vestibule/idp"
	"vestibule/kv"
	"vestibule/machine"
	"vestibule/secret"
)

// machineSecret is what one machine client's references resolve to.
type machineSecret struct{ own, upstream secret.Value }

// resolveMachines reads the secrets of the machine clients; read adds what is wrong to the faults, under the key it is given.
func resolveMachines(cfg *config.Config, read readSecret) []machineSecret {
	var out []machineSecret
	for i, client := range cfg.Machine.Clients {
		at := fmt.Sprintf("machine.clients[%d].", i)
		out = append(out, machineSecret{
			read(at+"secret", client.Secret, noShorter(machine.MinSecret, "bytes")), read(at+"upstream_secret", client.UpstreamSecret, nil),
		})
	}
	return out
}

// newMachines makes the cache of machine tokens; nil where it is off. A store in memory would only hold everything twice: then the
// cache is given none.
func newMachines(pl plan, provider *idp.Provider, store kv.Store) (*machine.Cache, error) {
	cfg := pl.config
	if !cfg.Machine.Enabled {
		return nil, nil
	}
	post := cfg.Provider.ClientAuth == "client_secret_post"
	c := machine.Config{
		Keys: pl.secrets.ring, Realm: machineRealm(cfg), TokenURL: provider.TokenEndpoint,
		Provider: machine.Credentials{
			ID: cfg.Provider.ClientID, Secret: pl.secrets.clientSecret.Bytes, Refresh: pl.secrets.clientSecret.Refresh, Post: post,
		},
		MinTTL: cfg.Machine.MinTTL, MemoryBytes: cfg.Machine.Memory << 20, Rate: cfg.Machine.Rate, ClientRate: cfg.Machine.ClientRate,
		Logger: pl.log, Observe: pl.metrics.Machine,
	}
	if _, inProcess := store.(*kv.Memory); !inProcess {
		c.Store = store
	}
	if url := cfg.Machine.TokenURL; url != "" {
		c.TokenURL = func(context.Context) (string, error) { return url, nil }
	}
	for i, client := range cfg.Machine.Clients {
		s := pl.secrets.machines[i]
		m := machine.Client{ID: client.ID, Secret: s.own.Bytes, Refresh: s.own.Refresh, Scopes: client.Scopes, Params: client.Params}
		if client.UpstreamID != "" {
			m.Upstream = machine.Credentials{ID: client.UpstreamID, Secret: s.upstream.Bytes, Refresh: s.upstream.Refresh, Post: post}
		}
		c.Clients = append(c.Clients, m)
	}
	tokens, err := machine.New(c)
	if err != nil {
		return nil, faultOf("machine.clients", err)
	}
	pl.metrics.MachineTokens(tokens.Held)
	return tokens, nil
}

// machineRealm says whose tokens the shared cache holds: those of the endpoint that is configured, or of the issuer that names one.
func machineRealm(cfg *config.Config) string {
	return cmp.Or(cfg.Machine.TokenURL, cfg.Provider.TokenEndpoint, cfg.Provider.Issuer)
}

// drainAll waits for every part that works in the background, one after the other: they share the time.
func drainAll(parts ...func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		var faults []error
		for _, drain := range parts {
			faults = append(faults, drain(ctx))
		}
		return errors.Join(faults...)
	}
}
