package flow_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
)

func TestPlannedNamesTheSagaThatAStartWouldStart(t *testing.T) {
	f := flow.New[int]("count").Map(func(n int) int { return n }).Version(3)
	planned, err := f.Planned(flow.ID("c-1"), flow.WithHeaders(flow.Headers{"user": "anna"}))
	require.NoError(t, err)
	assert.Equal(t, flow.Planned{Flow: "count", Version: 3, ID: "c-1", Headers: flow.Headers{"user": "anna"}}, planned)

	one, err := f.Planned()
	require.NoError(t, err)
	other, err := f.Planned()
	require.NoError(t, err)
	assert.NotEmpty(t, one.ID)
	assert.NotEqual(t, one.ID, other.ID)

	_, err = f.Planned(flow.ID("a/b"))
	assert.ErrorIs(t, err, flow.ErrID)
	_, err = flow.Flow[int, int]{}.Planned()
	assert.ErrorIs(t, err, flow.ErrZero)
}
