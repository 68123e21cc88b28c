package main

import (
	"testing"

	"vestibule/config"
)

// What names the provider of machine tokens in the shared cache is what decides where they are asked for.
func TestTheRealmOfMachineTokensFollowsTheirEndpoint(t *testing.T) {
	var cfg config.Config
	for _, step := range []struct {
		set  *string
		want string
	}{
		{&cfg.Provider.Issuer, "https://issuer.example"},
		{&cfg.Provider.TokenEndpoint, "https://issuer.example/token"},
		{&cfg.Machine.TokenURL, "https://machines.example/token"},
	} {
		*step.set = step.want
		if got := machineRealm(&cfg); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}
