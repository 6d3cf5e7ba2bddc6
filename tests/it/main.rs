mod corpus;
mod fixtures;
