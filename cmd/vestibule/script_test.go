package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vestibule/idp/devidp"
	"vestibule/secret"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"vestibule": main}) }

// TestScripts plays what operators type. $ISSUER answers, $NOBODY does not; $KEY1 and $KEY2 are good keys.
func TestScripts(t *testing.T) {
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			for name, value := range map[string]string{
				"ISSUER": provider.Issuer(), "NOBODY": "http://127.0.0.1:1/pool",
				"KEY1": secret.GenerateKey(), "KEY2": secret.GenerateKey(),
			} {
				e.Setenv(name, value)
			}
			return nil
		},
	})
}
