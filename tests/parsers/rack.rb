# Parses a multipart body with Rack: the parser under Rails, which the service runs on.
# Arguments: the content type, the body's file. Prints name, file name, type and content's MD5.
require "digest"
require "rack"

type, path = ARGV
body = File.open(path, "rb")
params = Rack::Multipart.parse_multipart(
  Rack::MockRequest.env_for("/", method: "POST", input: body, "CONTENT_TYPE" => type,
    "CONTENT_LENGTH" => File.size(path).to_s)
)
rows = []
flatten = lambda do |name, value|
  if value.is_a?(Hash) && value.key?(:tempfile)
    rows << [name, value[:filename], value[:type], Digest::MD5.hexdigest(value[:tempfile].read)]
  elsif value.is_a?(Hash)
    value.each { |key, inner| flatten.call("#{name}[#{key}]", inner) }
  else
    rows << [name, "-", "-", Digest::MD5.hexdigest(value)]
  end
end
params.each { |name, value| flatten.call(name, value) }
puts rows.map { |row| row.join("\t") }.sort
