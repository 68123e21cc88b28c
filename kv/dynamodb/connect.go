package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/logging"
)

const (
	// attempts of one call, within its time. Throttling, broken connections and 5xx are tried again; writes bear it, see change.
	attempts = 3
	// attemptShare is the part of a call's time that one attempt gets, so that a connection that died silently leaves time for
	// another.
	attemptShare = 2
	// idleConnections: the SDK's ten would have every burst open and close connections.
	idleConnections = 100
	settingsTime    = 5 * time.Second // for files only, as a rule; some settings make the SDK ask the instance
)

// connect makes the client; it reaches for no table yet. Credentials are found by the SDK's default chain, and renewed by it.
func (s *Store) connect(a address) error {
	ctx, cancel := context.WithTimeout(context.Background(), settingsTime)
	defer cancel()
	settings, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithLogger(driverLog(s.log)), func(o *awsconfig.LoadOptions) error {
		o.Region = a.region
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("load AWS settings: %w", err)
	case settings.Region == "":
		return errors.New("names no region (add ?region=… or set AWS_REGION)")
	}
	s.region, s.transport = settings.Region, transport(settings.HTTPClient)
	s.client = awsdynamodb.NewFromConfig(settings, func(o *awsdynamodb.Options) {
		if a.endpoint != "" {
			o.BaseEndpoint = &a.endpoint
		}
		o.HTTPClient = &http.Client{
			Transport: s.transport, Timeout: max(a.timeout/attemptShare, time.Millisecond),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.Backoff = retry.BackoffDelayerFunc(func(turn int, _ error) (time.Duration, error) { return backoff(turn), nil })
		})
		o.RetryMaxAttempts = attempts // whatever the environment says: it cannot know our time
	})
	return nil
}

// transport is the SDK's own, with what its settings say of authorities and proxies.
func transport(from awsconfig.HTTPClient) *http.Transport {
	b, is := from.(*awshttp.BuildableClient)
	if !is {
		b = awshttp.NewBuildableClient()
	}
	t := b.GetTransport()
	t.MaxIdleConnsPerHost = idleConnections
	return t
}

// driverLog passes on what the SDK says. What matters of it comes as an error too.
func driverLog(log *slog.Logger) logging.Logger {
	return logging.LoggerFunc(func(_ logging.Classification, format string, args ...any) {
		if log.Enabled(context.Background(), slog.LevelDebug) {
			log.Debug("dynamodb: " + fmt.Sprintf(format, args...))
		}
	})
}
