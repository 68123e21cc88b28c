package main

import (
	"errors"
	"fmt"
	"time"

	"vestibule/handlers"
	"vestibule/idp/devidp"
	"vestibule/upstream/eventsdev"
	"vestibule/views"
)

// demoScope is what the demo's service asks for; the provider knows it by default.
const demoScope = "vestibule/read"

// demoAccessLife is short, so that a refresh is seen within half a minute.
const demoAccessLife = time.Minute

// standIns are what the demo has for AWS: a provider in place of Cognito, and an event server in place of AppSync.
type standIns struct {
	provider *devidp.Server
	events   *eventsdev.Server
}

// startStandIns serves both at 127.0.0.1, while Vestibule is at localhost: cookies know no ports, so two hosts keep them apart.
// The event server speaks without TLS: no browser would trust a certificate made on the spot.
func startStandIns(origin, address string, flags demoFlags) (standIns, error) {
	at, err := flags.places(address)
	if err != nil {
		return standIns{}, err
	}
	provider, err := devidp.Start(devidp.Config{
		Addr: at.provider, ClientID: flags.clientID(),
		RedirectURIs: []string{origin + "/api/auth/sign-in-callback"},
		LogoutURIs:   []string{origin + "/api/auth/sign-out-callback"},
		AccessLife:   demoAccessLife, IDLife: demoAccessLife,
	})
	if err != nil {
		return standIns{}, fmt.Errorf("start the demo's provider: %w", err)
	}
	if flags.handover != "" {
		if err := handOver(flags.handover, address, provider); err != nil {
			return standIns{}, errors.Join(err, provider.Close())
		}
	}
	events, err := eventsdev.Start(eventsdev.Config{Addr: at.events, Issuer: provider.Issuer(), ClientIDs: []string{provider.ClientID()}})
	if err != nil {
		return standIns{}, errors.Join(fmt.Errorf("start the demo's event server: %w", err), provider.Close())
	}
	return standIns{provider, events}, nil
}

// close ends the sockets before the provider whose tokens they carry. What fails here fails with the process.
func (s standIns) close() {
	_ = s.events.Close()
	_ = s.provider.Close()
}

func (s standIns) page() handlers.DemoPage {
	page := handlers.DemoPage{
		ProviderURL: s.provider.Issuer(), AccessLife: demoAccessLife,
		EventsURL: s.events.Endpoint(), RealtimeURL: s.events.RealtimeURL(),
	}
	for _, u := range s.provider.Users() {
		page.Users = append(page.Users, views.DemoUser{Email: u.Email, Password: u.Password})
	}
	return page
}

func (s standIns) machinePage(busy *busyService) handlers.DemoMachinePage {
	return handlers.DemoMachinePage{
		ProviderURL: s.provider.Issuer(), AccessLife: demoAccessLife, Size: burstSize, AtOnce: burstAtOnce,
		Send: busy.burst, Bursts: busy.bursts,
	}
}
