package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
	"vestibule/kv/dynamodb/dynamodbtest"
)

// withCredentials gives the AWS SDK what it looks for in the environment, so these tests do not run beside others.
func withCredentials(t *testing.T) {
	t.Helper()
	for name, value := range dynamodbtest.Credentials() {
		t.Setenv(name, value)
	}
}

func tableURL(server *dynamodbtest.Server, table string) string {
	return "dynamodb://" + table + "?region=" + dynamodbtest.Region + "&endpoint=" + server.Endpoint() + "&timeout=5s"
}

func tableContents(t *testing.T, server *dynamodbtest.Server, table string) (all string, machineTokens int) {
	t.Helper()
	var scan struct {
		Items []struct {
			PK  struct{ S string }
			Val struct{ B string }
		}
	}
	answer := server.Ask("Scan", `{"TableName":"`+table+`"}`)
	if err := json.Unmarshal([]byte(answer), &scan); err != nil {
		t.Fatal(err)
	}
	all = answer
	for _, item := range scan.Items {
		value, err := base64.StdEncoding.DecodeString(item.Val.B)
		if err != nil {
			t.Fatal(err)
		}
		all += item.PK.S + "\n" + string(value) + "\n"
		if strings.HasPrefix(item.PK.S, "k/machine/") {
			machineTokens++
		}
	}
	return all, machineTokens
}

func TestReplicasAskOnceForACrowdAndKeepTheTokenSealedInDynamoDB(t *testing.T) {
	withCredentials(t)
	server := dynamodbtest.Start(t)
	table := server.Table()
	e := newEstateOn(t, tableURL(server, table))
	e.contents = func(t *testing.T) (string, int) { return tableContents(t, server, table) }
	first, second := freeAddress(t), freeAddress(t)
	a, b := e.replica(t, first), e.replica(t, second)
	// Long enough that all callers come while the provider is still thinking.
	if err := e.provider.SetFaults(devidp.Faults{Token: devidp.Fault{Latency: time.Second}}); err != nil {
		t.Fatal(err)
	}
	tokens := e.burst(t, 100, first, second)
	if len(tokens) != 1 {
		t.Fatalf("got %d different tokens, want one for all", len(tokens))
	}
	e.wantsAsked(t, "for 200 cold callers at two replicas", 1)
	e.wantsSealed(t, tokens[0])

	stopped(t, b)
	b = e.replica(t, second)
	if got := e.mustToken(t, second); got != tokens[0] {
		t.Error("after a restart: another token, want the one that the table keeps")
	}
	e.wantsAsked(t, "after a restart", 1)

	server.Stop()
	for _, at := range []string{first, second} {
		if got := e.mustToken(t, at); got != tokens[0] {
			t.Error("without the table: another token, want the one in memory")
		}
	}
	e.mustToken(t, first, "vestibule/read")
	e.wantsAsked(t, "without the table, for what is new,", 2)

	e.http.CloseIdleConnections()
	stopped(t, a)
	stopped(t, b)
	log := a.errw.String() + b.errw.String()
	if !strings.Contains(log, "in this process alone") || strings.Contains(log, "hunter2") || strings.Contains(log, tokens[0]) {
		t.Error("the log does not tell of the loss of the cache, or holds a secret")
	}
}

func TestCheckSaysHowToMakeAMissingTable(t *testing.T) {
	withCredentials(t)
	server := dynamodbtest.Start(t)
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	asked := func(table string) (status int, said string) {
		p := start(t, "check", "--public_url=https://app.example.com", "--provider.issuer="+provider.Issuer(), "--provider.client_id=app",
			"--provider.client_secret=hunter2hunter2", "--session.keys=file:"+keyFile(t), "--cache.url="+tableURL(server, table))
		return <-p.status, p.out.String() + p.errw.String()
	}
	if status, said := asked("no-such-table"); status != 1 || !strings.Contains(said, "no-such-table in eu-west-1") ||
		!strings.Contains(said, `hint: create the table with the command below "DynamoDB" in docs/operating.md`) {
		t.Errorf("got %d %q, want the table, the region and the cure", status, said)
	}
	before := server.Table()
	if status, said := asked(before); status != 0 {
		t.Errorf("with the table: got %d %q", status, said)
	}
	all, _ := tableContents(t, server, before)
	if strings.Count(all, `"pk"`) != 3 || strings.Count(all, `"exp":{"N":"0"}`) != 1 || strings.Count(all, `"ttl"`) != 2 {
		t.Errorf("check left %s, want the tombstone of what it tried, and its message with the count of messages", all)
	}
}
