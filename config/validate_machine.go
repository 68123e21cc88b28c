package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vestibule/secret"
)

const (
	// leastMachineMemory is what the cache's rings take at least, in megabytes, mostMachineMemory a terabyte.
	leastMachineMemory, mostMachineMemory = 64, 1 << 20
	// mostRate is beyond every provider.
	mostRate = 100_000
	// leastMachineSecret is the shortest key of a machine client, in bytes: it is all that stands between its holder and a token.
	leastMachineSecret = 16
	maxMachineID       = 256
)

func (c *checker) machine() {
	m := c.Machine
	if m.TokenURL != "" {
		c.check("machine.token_url", checkEndpoint(m.TokenURL), endpointHint)
		c.tokenCircle("machine.token_url", m.TokenURL)
	} else if m.Enabled {
		c.tokenCircle("provider.token_endpoint", c.Provider.TokenEndpoint)
	}
	if m.Rate > mostRate {
		c.fault("machine.rate", fmt.Sprintf("is over %d", mostRate), "write what the provider allows in a second")
	}
	if m.ClientRate > m.Rate && m.Rate > 0 {
		c.fault("machine.client_rate", "is more than machine.rate", "lower it: one client must leave room for others")
	}
	if m.Memory > 0 && (m.Memory < leastMachineMemory || m.Memory > mostMachineMemory) {
		c.fault("machine.memory", fmt.Sprintf("is not between %d and %d", leastMachineMemory, mostMachineMemory), "write megabytes")
	}
	if len(m.Clients) > 0 && !m.Enabled {
		c.fault("machine.clients", "is set, but machine.enabled is not", "set machine.enabled to true, or remove the clients")
	}
	seen := make(map[string]bool)
	for i, client := range m.Clients {
		c.machineClient(fmt.Sprintf("machine.clients[%d]", i), client, seen[client.ID])
		seen[client.ID] = true
	}
}

// tokenCircle refuses the address of our own cache where the provider's token endpoint should be. Another path of the same origin may well be
// the provider's, behind the same proxy.
func (c *checker) tokenCircle(key, text string) {
	u, err := parseURL(text)
	if text == "" || err != nil || strings.TrimSuffix(u.Path, "/") != c.BasePath()+machinePath {
		return
	}
	if origin(u) == origin(c.Public()) || leadsTo(u, c.Listen) {
		c.fault(key, "is the address of our own "+machinePath+circles, "write the provider's token endpoint, or leave it out for the one that discovery names")
	}
}

// machinePath is the route of the cache of machine tokens, below the path of public_url.
const machinePath = "/oauth2/token"

func (c *checker) machineClient(at string, client MachineClient, known bool) {
	switch {
	case client.ID == "":
		c.fault(at+".id", "is required", "name the client")
	case known:
		c.fault(at+".id", "repeats the id of another client", "keep one of them")
	case len(client.ID) > maxMachineID:
		c.fault(at+".id", fmt.Sprintf("is over %d bytes", maxMachineID), "shorten it")
	}
	switch text := client.Secret.Reference(); {
	case text == "":
		c.fault(at+".secret", "is required", "write the secret, or a reference to it")
	case !secret.IsReference(text) && len(text) < leastMachineSecret:
		c.fault(at+".secret", fmt.Sprintf("is shorter than %d bytes", leastMachineSecret), keygenHint)
	}
	for i, scope := range client.Scopes {
		if !isScope(scope) {
			c.fault(at+".scopes", fmt.Sprintf("item %d is not a scope", i+1), "separate scopes by commas")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(client.Params)) {
		if slices.Contains([]string{"grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type"}, name) {
			c.fault(at+".params", name+" is not yours to set", "remove it")
		}
	}
	switch {
	case (client.UpstreamID == "") != (client.UpstreamSecret == ""):
		c.fault(at+".upstream_id", "and upstream_secret go together", "set both, or neither for the provider's client")
	case client.UpstreamID == "" && c.Provider.ClientAuth == "none":
		c.fault(at+".upstream_id", `is required where provider.client_auth is "none"`, "give the client that has a secret")
	}
}
