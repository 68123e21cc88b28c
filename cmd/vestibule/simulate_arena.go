package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"vestibule/config"
	"vestibule/idp/devidp"
	"vestibule/kv"
	"vestibule/lab"
	"vestibule/secret"
	"vestibule/web"
)

// arena is everything that a simulation runs on this machine.
type arena struct {
	simulation simulation
	origin     string // public_url of all replicas; the address of the first
	provider   *devidp.Server
	witness    *lab.Witness
	replicas   []*arenaReplica
	ledger     *ledger
	memory     *kv.Memory // what replicas share under memory:, where each process would have its own
	key        string     // session.keys of all replicas
}

// arenaReplica is one Vestibule, made by the same wire as serve makes its own.
type arenaReplica struct {
	address  string
	listener *severable
	severed  atomic.Bool // its store answers nothing any more
	stop     context.CancelFunc
	ended    chan error
}

func startArena(ctx context.Context, p process, s simulation) (*arena, error) {
	a := &arena{simulation: s, ledger: newLedger(), memory: kv.NewMemory(kv.MemoryConfig{}), key: secret.GenerateKey()}
	if err := a.start(ctx, p); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *arena) start(ctx context.Context, p process) error {
	for range a.simulation.replicas {
		l, err := listen("replicas", "127.0.0.1:0")
		if err != nil {
			return err
		}
		a.replicas = append(a.replicas, &arenaReplica{
			address: l.Addr().String(), listener: &severable{Listener: l, open: map[net.Conn]struct{}{}}, ended: make(chan error, 1),
		})
	}
	a.origin = "http://" + a.replicas[0].address
	var err error
	a.provider, err = devidp.Start(devidp.Config{
		RedirectURIs: []string{a.origin + "/api/auth/sign-in-callback"}, LogoutURIs: []string{a.origin + "/api/auth/sign-out-callback"},
		Users: people(a.simulation.sessions), AccessLife: a.simulation.tokenLife, IDLife: a.simulation.tokenLife,
		NoRotation: !a.simulation.rotation, Grace: a.simulation.grace,
	})
	if err != nil {
		return fmt.Errorf("start the provider: %w", err)
	}
	a.witness, err = lab.NewWitness(a.provider.URL()+"/oauth2/token", lab.Delay{After: a.simulation.latency})
	if err != nil {
		return err
	}
	for n := range a.replicas {
		if err := a.startReplica(ctx, p, n); err != nil {
			return err
		}
	}
	return nil
}

func (a *arena) startReplica(ctx context.Context, p process, n int) error {
	r := a.replicas[n]
	cfg, faults := config.Load(config.Source{Args: a.settings(n)})
	if len(faults) > 0 {
		return faultsError{renamed(faults)}
	}
	// What replicas log of their troubles is the experiment; the report says it shorter.
	log := slog.New(slog.DiscardHandler)
	pl := plan{config: cfg, log: log, metrics: web.NewMetrics(), through: func(s store) store { return a.book(s, r) }}
	if pl.secrets, faults = resolve(ctx, pl, p.lookup); len(faults) > 0 {
		return faultsError{renamed(faults)}
	}
	made, err := wire(pl)
	if err != nil {
		return renamedError(err)
	}
	if n == 0 {
		if faults := askCache(ctx, made.store); len(faults) > 0 {
			made.store.close()
			return faultsError{renamed(faults)}
		}
	}
	ctx, r.stop = context.WithCancel(ctx)
	go func() { r.ended <- made.run(ctx, r.listener, nil) }()
	return nil
}

// settings are a replica's configuration. What is left in a shared cache is gone soon after the run.
func (a *arena) settings(n int) []string {
	s := a.simulation
	return []string{
		"--listen=" + a.replicas[n].address, "--admin_listen=", "--public_url=" + a.origin,
		"--provider.issuer=" + a.provider.Issuer(), "--provider.client_id=" + a.provider.ClientID(), "--provider.client_secret=" + a.provider.ClientSecret(),
		"--provider.authorization_endpoint=" + a.provider.URL() + "/oauth2/authorize",
		"--provider.token_endpoint=" + a.witness.Endpoint(n),
		"--provider.jwks_uri=" + a.provider.Issuer() + "/.well-known/jwks.json",
		"--provider.revocation_endpoint=" + a.provider.URL() + "/oauth2/revoke",
		"--session.keys=" + a.key, "--session.mode=" + s.mode, "--session.max_age=" + (s.duration + 15*time.Minute).String(),
		"--cache.url=" + s.cache,
	}
}

// book puts the ledger, and the knife, between a replica and its store.
func (a *arena) book(s store, r *arenaReplica) store {
	if a.simulation.cache == "memory:" {
		s.Store, s.feed = a.memory, a.memory
	}
	s.Store = booked{Store: s.Store, ledger: a.ledger, severed: &r.severed}
	if s.feed != nil {
		s.feed = severedFeed{Feed: s.feed, severed: &r.severed}
	}
	return s
}

// kill is what a power cut is to a process, as far as one process can play it for a part of itself: the store takes nothing from the
// replica any more, its sockets are closed, and what it still knows nobody can ask it for. (What it asks the provider is cut by the
// witness.) It cannot take the memory away from goroutines that run on until they notice.
func (r *arenaReplica) kill() {
	r.severed.Store(true)
	r.listener.sever()
	r.stop()
}

// close lets the replicas drain, all at once, and then ends what they need.
func (a *arena) close() {
	for _, r := range a.replicas {
		if r.stop != nil {
			r.stop()
		} else {
			_ = r.listener.Close()
		}
	}
	for _, r := range a.replicas {
		if r.stop != nil {
			<-r.ended // how a drained or a killed replica ended is not what was asked
		}
	}
	if a.witness != nil {
		_ = a.witness.Close()
	}
	if a.provider != nil {
		_ = a.provider.Close()
	}
}

// renamed calls the keys of the configuration what the flags of simulate are called.
func renamed(faults config.Faults) config.Faults {
	for i, f := range faults {
		switch f.Key {
		case "cache.url":
			faults[i].Key = "cache"
		case "session.mode":
			faults[i].Key = "mode"
		}
	}
	return faults
}

func renamedError(err error) error {
	var several faultsError
	if errors.As(err, &several) {
		return faultsError{renamed(several.faults)}
	}
	return err
}
