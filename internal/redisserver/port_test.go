package redisserver

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAPortThatSomebodyTookIsNoticed(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := &Server{}
	require.NoError(t, s.makeDir())
	defer s.Close()
	require.NoError(t, s.configure())
	l, err := net.Listen("tcp", s.Addr)
	require.NoError(t, err)

	assert.ErrorIs(t, s.run(ctx), errTaken)
	l.Close()
	assert.NoError(t, s.run(ctx))
}

func TestAServerOfSomebodyElseIsNotTakenForOnes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	other, err := Start(ctx, Options{})
	require.NoError(t, err)
	defer other.Close()
	s := &Server{}
	require.NoError(t, s.makeDir())
	defer s.Close()
	require.NoError(t, s.configure())
	s.Addr = other.Addr

	s.process.args = other.process.args
	assert.ErrorIs(t, s.run(ctx), errTaken)
}
