package redisx

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/broker"
)

var _ broker.Checker = (*Broker)(nil)

// Check implements broker.Checker: it asks the server, and tells what of the broker does not work: the connection, the reader that hears of
// ready sagas and results, or a worker's signs of life, and since when.
func (b *Broker) Check(ctx context.Context) error {
	if err := b.usable(ctx); err != nil {
		return fmt.Errorf("redisx: %w", err)
	}
	errs := append(b.linkTrouble(), b.ear.trouble(), b.letters.trouble())
	for _, w := range b.workers() {
		errs = append(errs, w.trouble()...)
	}
	for _, s := range b.home.living() {
		for _, d := range s.desks {
			errs = append(errs, d.trouble())
		}
	}
	if b.home != b {
		errs = append(errs, b.home.ear.trouble())
	}
	_, err := ask(ctx, b, func(ctx context.Context) (struct{}, error) { return struct{}{}, b.client.Ping(ctx).Err() })
	if err != nil {
		errs = append(errs, fmt.Errorf("the server does not answer: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("redisx: %w", err)
	}
	return nil
}
