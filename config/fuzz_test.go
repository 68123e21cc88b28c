package config_test

import (
	"strings"
	"testing"

	"vestibule/config"
)

func FuzzLoad(f *testing.F) {
	f.Add("listen: ':1'\nprovider: {scopes: [openid, a]}", "PROVIDER_AUTHORIZE_PARAMS", "a=b,c=d", "--listen=:1 --config x")
	f.Add("machine: {clients: [{id: a, secret: b, scopes: c}]}", "SESSION_KEYS", key1, "--token.include_id_token")
	f.Add("a: &x [*x]\n<<: *x\n? b\n: - c", "PUBLIC_URL", "https://[::1]:x/%zz", "-- --=x --session.max_age 1h")
	f.Add("- - -\n---\n!t \"\x00", "TRUSTED_PROXIES", "::/0,1.2.3.4/33", "--session.idle_timeout=-1ns")
	for name := range minimal() {
		f.Add("", strings.TrimPrefix(name, "VESTIBULE_"), "", "")
	}
	f.Fuzz(func(t *testing.T, file, name, value, args string) {
		if len(file) > 4096 {
			return // the parser slows down with depth; size is bounded elsewhere
		}
		c, faults := config.Load(source(with("VESTIBULE_"+name, value), file, strings.Fields(args)...))
		if len(faults) == 0 && (c.Public().Host == "" || c.Provider.ClientID == "" || len(c.Session.Keys) == 0) {
			t.Errorf("no faults, yet %+v", c)
		}
		for _, fault := range faults {
			if fault.Key == "" || fault.Problem == "" {
				t.Errorf("an empty fault: %+v", fault)
			}
		}
	})
}
