package main

import (
	"context"
	"io"
	stdlog "log"
	"net"

	"vestibule/web"
)

func serve(ctx context.Context, p process, args []string) error {
	cfg, faults := load(p, args)
	if len(faults) > 0 {
		return faultsError{faults}
	}
	log, closeLog := newLogger(cfg, p.errw)
	defer closeLog()
	stdlog.SetOutput(io.Discard) // net/http prints what strangers sent it there
	room := uint64(heapRoom)
	if cfg.Machine.Enabled {
		room = machineRoom
	}
	tuneMemory(ctx, p, room)
	pl := plan{config: cfg, log: log, metrics: web.NewMetrics()}
	if pl.secrets, faults = resolve(ctx, pl, p.lookup); len(faults) > 0 {
		return faultsError{faults}
	}
	a, err := wire(pl)
	if err != nil {
		return err
	}
	advise(pl)
	public, err := listen("listen", cfg.Listen)
	if err != nil {
		return err
	}
	var admin net.Listener
	if cfg.AdminListen != "" {
		if admin, err = listen("admin_listen", cfg.AdminListen); err != nil {
			_ = public.Close()
			return err
		}
	}
	log.Info("serving", "version", version(), "listen", public.Addr().String(), "public_url", cfg.PublicURL, "issuer", cfg.Provider.Issuer)
	return a.run(ctx, public, admin)
}
