const MOST = 10;

export type Query = Promise<{ channels?: string }>;

/** channelsOf reads how many channels a page should listen to: ?channels=5. */
export const channelsOf = async (query: Query) => Math.min(Math.max(Number((await query).channels) || 1, 1), MOST);
