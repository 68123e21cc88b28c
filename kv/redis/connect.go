package redis

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"vestibule/secret"
)

const (
	// maxRetries is how often the driver sends a command again after a broken connection or an answer such as LOADING: once
	// gets past the dead connections that a restart of the server leaves in the pool. Writes bear it, see Put.
	maxRetries = 1
	// idleTime is below the 350 s after which AWS load balancers forget a connection.
	idleTime = 5 * time.Minute
)

// connect makes the driver's client for one server, Sentinel or Cluster; it reaches for nothing yet.
func connect(a address, c Config) (goredis.UniversalClient, error) {
	dial, err := a.dialer(c.Logger)
	if err != nil {
		return nil, err
	}
	// The driver knows one log for the process, and its default is standard error.
	goredis.SetLogger(driverLog{c.Logger})
	return goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs: a.hosts, IsClusterMode: a.cluster, DB: a.db,
		MasterName: a.sentinel.master, SentinelUsername: a.sentinel.username, SentinelPassword: a.sentinel.password,
		CredentialsProviderContext: credentials(c.URL),
		Protocol:                   2, // nothing of the third is used, and proxies know the second
		DisableIdentity:            true,
		DialTimeout:                a.timeout, ReadTimeout: a.timeout, WriteTimeout: a.timeout, PoolTimeout: a.timeout,
		ContextTimeoutEnabled: true,
		DialerRetries:         1, // kv.Guard has more patience and less haste
		MaxRetries:            maxRetries, MinRetryBackoff: 2 * time.Millisecond, MaxRetryBackoff: 20 * time.Millisecond,
		PoolSize: a.poolSize, ConnMaxIdleTime: idleTime,
		PipelinePoolSize: -1, // GetMany is the common call: it uses the one pool that pool_size bounds
		Dialer:           dial,
	}), nil
}

// credentials reads user and password at each connection, so that a rotation needs no restart.
func credentials(from secret.Value) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) {
		a, err := parseAddress(string(from.Bytes()))
		if err != nil {
			return "", "", fmt.Errorf("the URL, read afresh, %w", err)
		}
		return a.username, a.password, nil
	}
}

// driverLog passes on what the driver says of its connections. What matters of it comes as an error too.
type driverLog struct{ log *slog.Logger }

// Printf implements the driver's interface.
func (d driverLog) Printf(ctx context.Context, format string, args ...any) {
	if d.log.Enabled(ctx, slog.LevelDebug) {
		d.log.DebugContext(ctx, "redis: "+fmt.Sprintf(format, args...))
	}
}
